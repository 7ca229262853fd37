"""How two graphs of one network are paired and compared: along their edges, like with like, each layer by its own error."""

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current_results
from device_tests.measure.explain import compare, layers
from device_tests.measure.explain.compare import Node
from device_tests.measure.explain.placement import Layer
from device_tests.results import layers as layer_files
from device_tests.results.layers import Layers
from models.common.errors import DataError
from tests.device_tests.conftest import artifact

IMAGES = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(3, 6, 6)).astype(np.float32)
Function = Callable[..., np.ndarray]


def node(kind: str, inputs: str, output: str, **facts) -> Node:
    weights = 36 if kind in ("conv", "dense") else 0
    kinds = (kind,) if kind else ()
    return Node(kinds=kinds, inputs=tuple(inputs.split()), outputs=(output,), weights=weights, rounds=not kind, **facts)


class Computed:
    """A graph of numpy functions, in which a node is (kind, inputs, output, function)."""

    input = "image"

    def __init__(self, *steps: tuple[str, str, str, Function], named: bool = True) -> None:
        self.named = named
        self.steps = steps
        self.nodes = tuple(node(*step[:3]) for step in steps)
        self.output = steps[-1][2]
        self._settled = compare.settled(self.nodes)

    def values(self, image: np.ndarray) -> dict[str, np.ndarray]:
        tensors = self.forced(image, {})
        return {name: tensors[self._settled.get(name, name)] for name in tensors}

    def forced(self, image: np.ndarray, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        computed, received = {"image": image}, {"image": given.get("image", image)}
        for _, inputs, output, function in self.steps:
            computed[output] = function(*(received[name] for name in inputs.split()))
            received[output] = given.get(output, computed[output])
        return computed


def product(i: int, scale: float = 1.0) -> Function:
    return lambda x: scale * x @ WEIGHTS[i]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def residual(*, shortcut: float = 1.0, deep: float = 1.0, names: str = "a b c d") -> Computed:
    a, b, c, d = names.split()
    return Computed(
        ("conv", "image", a, product(0, shortcut)),
        ("conv", "image", b, product(1, deep)),
        ("add", f"{a} {b}", c, np.add),
        ("dense", c, d, product(2)),
    )


def changed(twin: Computed, *steps: tuple[str, str, str, Function]) -> Computed:
    by_output = {step[2]: step for step in (*twin.steps, *steps)}
    return Computed(*by_output.values())


def row_of(file: Computed, twin: Computed) -> dict[str, layers.LayerError]:
    compared = compare.compare(file, twin, IMAGES, IMAGES).tensors
    named = [Layer(name=name, macs=36, parameters=36) for name in ("conv1", "conv2", "dense1")]
    return {row.layer: row for row in layers.rows(compared, twin.nodes, named)}


def first_bad(rows: dict[str, layers.LayerError]) -> str:
    return Layers(artifact="a", key="k", images=4, tool="t", errors=tuple(rows.values())).first_bad


def test_a_doubled_scale_is_found_where_it_is_and_not_after_it_whatever_tensors_are_called():
    rows = row_of(residual(deep=2.0), residual())
    assert first_bad(rows) == "conv2"
    assert [name for name, row in rows.items() if row.bad] == ["conv2"]
    assert rows["conv2"].cosine > 0.9999  # which is why a cosine does not decide
    assert rows["dense1"].sqnr_db < layers.BAD_SQNR_DB  # as wrong, but only for what it was given
    assert rows["dense1"].own_sqnr_db is None

    assert first_bad(row_of(residual(shortcut=2.0), residual())) == "conv1"
    rows = row_of(residual(deep=2.0, names="w x y z"), residual())
    assert (first_bad(rows), all(row.paired for row in rows.values())) == ("conv2", True)

    broken = changed(residual(), ("add", "a b", "c", lambda a, b: 2 * (a + b)))  # an operator without weights
    assert first_bad(row_of(broken, residual())) == "add c"
    assert "add c" not in row_of(residual(), residual())


def test_a_layer_and_what_is_fused_with_it_are_compared_as_one_and_as_the_next_layer_receives_it():
    twin = Computed(("conv", "image", "a", product(0)), ("relu", "a", "b", relu), ("dense", "b", "c", product(1)))
    fused = Computed(("conv", "image", "b", lambda x: relu(product(0)(x))), ("dense", "b", "c", product(1)))
    rows = row_of(fused, twin)
    assert [row.own_sqnr_db for row in rows.values() if row.paired] == [None, None]

    twin = Computed(("conv", "image", "a", product(0)), ("dense", "a", "b", product(1)))
    file = Computed(
        ("conv", "image", "a", product(0)),
        ("", "a", "r", lambda x: np.round(x * 32) / 32),
        ("dense", "r", "b", product(1)),
    )
    rows = row_of(file, twin)
    assert 20 < rows["conv1"].own_sqnr_db < 60  # its rounding is its own error,
    assert rows["conv2"].own_sqnr_db is None  # and not that of the next


def test_a_layer_that_has_another_shape_is_judged_where_both_graphs_meet_again():
    reshaped = ("conv", "image", "b", lambda x: product(1)(x).reshape(1, 2, 3))
    healthy = changed(residual(), reshaped, ("add", "a b", "c", lambda a, b: a + b.reshape(1, 6)))
    rows = row_of(healthy, residual())
    assert {name: row.own_sqnr_db for name, row in rows.items()} == {"conv1": None, "conv2": None, "dense1": None}
    broken = changed(residual(), reshaped, ("add", "a b", "c", lambda a, b: a - b.reshape(1, 6)))
    assert first_bad(row_of(broken, residual())) == "conv2"


def test_names_that_mean_something_else_in_the_file_pair_nothing():
    """In one file `a` and `b` have changed places; the other has folded the batch norm, and its `a` is the twin's `b`."""
    twin = Computed(("conv", "image", "a", product(0)), ("conv", "a", "b", product(1)), ("dense", "b", "c", product(2)))
    file = Computed(("conv", "image", "b", product(0)), ("conv", "b", "a", product(1)), ("dense", "a", "c", product(2)))
    norm = ("batch_norm", "a", "b", lambda x: 3 * x)
    normed = Computed(("conv", "image", "a", product(0)), norm, ("dense", "b", "c", product(1)), named=False)
    normed.nodes = compare.without_batch_norms(normed.nodes)
    folded = Computed(("conv", "image", "a", product(0, 3.0)), ("dense", "a", "b", product(1)), named=False)
    swapped, shifted = {"b": "a", "a": "b", "c": "c"}, {"a": "b", "b": "c"}
    for own, other, expected in ((file, twin, swapped), (folded, normed, shifted)):
        pairs = compare.pair(own, other, own.values(IMAGES[:1]), other.values(IMAGES[:1]))
        assert pairs == {"image": "image", **expected}
        assert first_bad(row_of(own, other)) == ""


def test_a_layer_without_a_counterpart_is_said_and_accused_of_nothing():
    twin = Computed(("conv", "image", "a", product(0)), ("tanh", "a", "b", np.tanh), ("dense", "b", "c", product(1)))
    file = Computed(("other", "image", "x", lambda x: x[:, :3]), ("dense", "x", "y", lambda x: x @ WEIGHTS[0][:3, :5]))
    rows = row_of(file, twin)
    assert [(row.layer, row.paired, row.bad) for row in rows.values()] == [(f"conv{i}", False, False) for i in (1, 2)]
    assert first_bad(rows) == ""
    assert not replace(layers.error("conv1", -SIGNAL, SIGNAL), paired=False).bad


def test_a_batch_norm_belongs_to_the_layer_that_it_alone_follows():
    graph = (("conv", "image", "a"), ("batch_norm", "a", "b"), ("conv", "b", "c"), ("batch_norm", "c", "d"))
    nodes = compare.without_batch_norms(tuple(node(*step) for step in (*graph, ("add", "c d", "e"))))
    assert [(node.kinds, node.weights) for node in nodes] == [
        ((), 0), (("conv",), 36), (("conv",), 36), (("batch_norm",), 0), (("add",), 0)
    ]  # fmt: skip


def test_layers_of_as_many_weights_are_told_apart_by_their_weights_whatever_the_order():
    one, other = WEIGHTS[0], WEIGHTS[1]
    folded = one * np.array([3, -0.5, 2, 1, 7, 0.1], np.float32)[:, None]  # a batch norm's scale for each channel
    both = {"a": compare.channel_shapes(other.T, 1), "b": compare.channel_shapes(folded, 0)}
    nodes = [node("conv", "image", output, shapes=shapes) for output, shapes in both.items()]
    shapes_of = {name: compare.channel_shapes(weights, 0) for name, weights in (("one", one), ("other", other))}
    source_layers = [Layer(name=name, macs=36, parameters=36, shapes=shapes) for name, shapes in shapes_of.items()]
    assert list(layers.names_of(nodes, source_layers).values()) == ["other", "one"]


ARTIFACT = artifact("a-b-c")
SIGNAL = np.array([[3.0, -4.0]], np.float32)


def test_an_error_is_the_noise_in_decibels_the_largest_difference_and_the_cosine():
    tenth = (SIGNAL * 1.1, 20.0, 0.4, 1.0)  # of noise
    for ours, sqnr_db, max_abs, cosine in ((SIGNAL, None, 0.0, 1.0), tenth, (0 * SIGNAL, 0.0, 4.0, 0.0)):
        row = layers.error("conv1", ours, SIGNAL)
        assert row.sqnr_db == pytest.approx(sqnr_db, abs=1e-3)
        assert (row.max_abs, row.cosine) == (pytest.approx(max_abs, abs=1e-6), pytest.approx(cosine))


def test_kept_layers_are_those_that_were_measured_and_do_not_hold_for_another_file(tmp_path):
    errors = (layers.error("conv1", SIGNAL, SIGNAL), layers.error("conv2", SIGNAL, SIGNAL[:, ::-1]))
    key = current_results.explanation(ARTIFACT, current_results.EXPORT)
    measured = Layers(artifact=ARTIFACT.id, key=key, images=1, tool="t", errors=errors)
    layer_files.save(measured, tmp_path)
    assert current_results.layers(tmp_path, ARTIFACT) == measured
    assert current_results.layers(tmp_path, replace(ARTIFACT, sha256="b" * 64)) is None
    layer_files.path(tmp_path, ARTIFACT.id).write_text("[]")
    with pytest.raises(DataError, match="Delete it and run: nox -s explain -- --all --layers a-b-c"):
        current_results.layers(tmp_path, ARTIFACT)
