"""Graphs of Core ML's, OpenVINO's and ncnn's files: how they are read, and what is said of an engine that ends."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from device_tests.measure.explain import (
    _engine_graph,
    coreml,
    engine,
    layers,
    ncnn,
    openvino,
    tensor_values_engine,
    tensor_values_mil,
)
from device_tests.measure.explain.compare import compare
from device_tests.measure.explain.placement import Layer
from export.formats import ncnn as ncnn_format
from models import mil
from models.common.errors import DataError, EdgewiseError
from tests import interpreters

# Stands for an engine: it answers with the names and the doubled arrays that it is given, or as it is told.
STAND_IN = """
class Doubling:
    def __init__(self, path):
        assert path.name == "model.ncnn", path

    def values(self, given):
        print("a library's own words")
        return {f":{name}": value * 2 for name, value in given.items()}

    def describe(self, _):
        return {"json": np.array('{"input": "image"}'), ":0": np.ones(2)}

    def forced(self, given):
        raise RuntimeError("no such\\n  layer")

    def executed(self, _):
        os.kill(os.getpid(), 9)


ENGINES["ncnn"] = Doubling
main(*sys.argv[1:])
"""
GRAPH = """7767517
5 5
Input        in0    0 1 in0
Convolution  conv1  1 1 in0 1 0=2 1=1 5=0 6=2 8=102
Convolution  conv2  1 1 1 2 0=2 1=1 5=0 6=4 8=2
Reshape      flat   1 1 2 3 0=2
InnerProduct dense  1 1 3 out0 0=2 1=1 2=4
"""


def test_arrays_go_to_an_engine_and_back_by_name_one_that_refuses_goes_on_and_one_that_dies_is_an_error(
    tmp_path, monkeypatch
):
    interpreters.install(tmp_path / "envs", "ncnn")  # an engine whose environment is this interpreter
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))
    program = tmp_path / "program.py"
    program.write_text(inspect.getsource(_engine_graph).partition('if __name__ == "__main__"')[0] + STAND_IN)
    monkeypatch.setattr(_engine_graph, "__file__", str(program))
    opened = engine.Engine("ncnn", tmp_path / "model.ncnn")
    image = np.arange(4, dtype=np.float32)
    tensors = opened.arrays("values", {"image": image, "verb": image})
    assert {name: value.tolist() for name, value in tensors.items()} == {"image": [0, 2, 4, 6], "verb": [0, 2, 4, 6]}
    described, weights = opened.described("describe")
    assert (described, weights["0"].tolist()) == ({"input": "image"}, [1, 1])
    with pytest.raises(EdgewiseError, match="ncnn cannot show model.ncnn: RuntimeError: no such layer"):
        opened.arrays("forced")
    assert opened.arrays("values", {"a": np.ones(1)})["a"] == 2
    for ask in (lambda: opened.described("executed"), lambda: opened.arrays("values")):
        with pytest.raises(EdgewiseError, match="its process killed by SIGKILL"):
            ask()


def test_a_quantizer_that_cuts_what_may_be_negative_stands_for_a_relu():
    kinds = "Convolution FakeQuantize MaxPool FakeQuantize Convolution Relu FakeQuantize MaxPool FakeQuantize"
    least = (None, -1.0, None, 0.0, None, None, 0.0, None, 0.0)
    nodes = [
        {"kind": kind, "inputs": [str(i)], "outputs": [str(i + 1)], "least": low, "weights": 0}
        for i, (kind, low) in enumerate(zip(kinds.split(), least, strict=True))
    ]
    assert tensor_values_engine._clipping(nodes) == {3}
    assert tensor_values_engine._node(nodes[3], None, True).kinds == ("Relu",)
    rounding = tensor_values_engine._node(nodes[6], None, False)
    assert (rounding.kinds, rounding.rounds) == ((), True)


def test_openvinos_layers_are_integers_where_their_kernels_are_and_reference_kernels_are_named():
    executed = [
        {"kind": "Reorder", "kernel": "reorder_I8", "takes": "f32"},
        {"kind": "Convolution", "kernel": "brgconv_avx512_I8", "takes": "u8", "stored": "i8", "weights": 9},
        {"kind": "FullyConnected", "kernel": "brgemm_avx512_f32", "takes": "f32", "stored": "i4", "weights": 8},
        {"kind": "Convolution", "kernel": "ref_any_I8", "takes": "u8", "stored": "i8", "weights": 7},
    ]
    _, conv, dense, _ = operators = [openvino._operator(layer) for layer in executed]
    assert [o.integer for o in operators] == [False, True, False, True]
    assert (conv.weights, conv.activations, conv.parameters) == ("int8", "uint8", 9)
    assert (dense.weights, dense.activations, dense.parameters) == ("int4", "float32", 8)
    assert openvino._notes(executed) == (
        "1 of 4 layers run reference kernels: Convolution",
        "1 layers store narrow weights and multiply in float32",
    )


@pytest.fixture
def ncnn_file(tmp_path):
    """Two convolutions in 8 bits, the first of which hands on 8 bits, and a dense layer in float32."""
    eight = (0x000D4B38).to_bytes(4, "little") + bytes(4)
    dense = bytes(4) + np.array([3, 1, 1, 1], "<f4").tobytes() + bytes(8)
    content = eight + bytes(4 * (2 + 1 + 1)) + eight + bytes(4 * (2 + 1)) + dense
    (tmp_path / ncnn_format.PARAM).write_text(GRAPH)
    (tmp_path / ncnn_format.BIN).write_bytes(content)
    return tmp_path


def test_an_ncnn_placement_lists_what_is_computed_in_8_bits_and_every_byte(ncnn_file):
    facts = ncnn.explain(ncnn_file, "ncnn")
    assert [(o.name, o.weights, o.integer, o.parameters) for o in facts.operators] == [
        ("Convolution", "int8", True, 2),
        ("Convolution", "int8", True, 4),
        ("Reshape", "", False, 0),
        ("InnerProduct", "float32", False, 4),
    ]
    size = sum((ncnn_file / name).stat().st_size for name in (ncnn_format.PARAM, ncnn_format.BIN))
    assert sum(part.size_bytes for part in facts.parts) == size
    (ncnn_file / ncnn_format.BIN).write_bytes(b"")
    with pytest.raises(DataError, match="account for"):
        ncnn.explain(ncnn_file, "ncnn")


def test_of_ncnns_tensors_those_that_go_on_in_8_bits_are_not_compared(ncnn_file, monkeypatch):
    class Fake:
        def __init__(self, *_):
            pass

        def arrays(self, verb, given):
            assert all(value.ndim == 1 for value in given.values())  # without the axis of the batch
            return {name: np.ones(2, np.float32) for name in ("in0", "1", "2", "3", "out0")}

    monkeypatch.setattr(tensor_values_engine, "Engine", Fake)
    graph = tensor_values_engine.Ncnn(ncnn_file)
    image = np.ones((1, 2), np.float32)
    assert graph.values(image).keys() == {"in0", "2", "3", "out0"}
    assert graph.forced(image, {"2": image})["out0"].shape == (1, 2)
    assert [node.weights for node in graph.nodes] == [2, 4, 0, 4]
    assert [bool(node.kinds) for node in graph.nodes] == [True, True, False, True]
    assert [len(node.shapes) for node in graph.nodes] == [0, 0, 0, 2]


def program(scale: float = 1.0, half: str = "") -> SimpleNamespace:
    """Return a program as Core ML has it: two layers, the second of which may be wrong."""
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(4, 4)).astype(np.float32) for _ in range(2))

    def step(kind, name, takes, **constants):
        return mil._Step(kind=kind, constants=constants, variables={"x": takes}, results=((name, np.float32, (1, 4)),))

    steps = [
        *([step("cast", "half", "image")] if half else []),
        step("linear", f"a{half}", "half" if half else "image", weight=first),
        step("relu", f"b{half}", f"a{half}"),
        step("linear", "logits", f"b{half}", weight=second * np.float32(scale)),
    ]
    return SimpleNamespace(_steps=steps)


@pytest.mark.parametrize(("scale", "bad"), [(1.0, ""), (2.0, "dense2")])
def test_a_layer_of_a_core_ml_program_is_blamed_for_its_own_error_only(monkeypatch, tmp_path, scale, bad):
    programs = {"file": program(scale, "_cast_fp16"), "twin": program()}
    monkeypatch.setattr(mil, "Program", lambda path: programs[path.name])
    file, twin = (tensor_values_mil.Graph(tmp_path / name) for name in programs)
    images = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    weighted = [node for node in twin.nodes if node.weights]
    source_layers = [
        Layer(name=f"dense{i}", macs=16, parameters=16, shapes=node.shapes) for i, node in enumerate(weighted, start=1)
    ]
    rows = layers.rows(compare(file, twin, images, images).tensors, twin.nodes, source_layers)
    assert [row.layer for row in rows] == ["dense1", "dense2"]
    assert [row.layer for row in rows if row.bad] == ([bad] if bad else [])


def test_operators_of_core_ml_name_the_type_that_is_computed_not_the_constants():
    def var(kind=None, dtype=None):
        return SimpleNamespace(op=kind and SimpleNamespace(op_type=kind), dtype=dtype)

    weights, bias, image = var("constexpr_lut_to_dense"), var("const"), var(None)
    conv = SimpleNamespace(inputs={"weight": weights, "bias": bias, "x": image, "pad": None})
    concat = SimpleNamespace(inputs={"values": (var("relu"), var("const"))})
    assert coreml._variables(conv) == [image]
    assert coreml._variables(concat) == [concat.inputs["values"][0]]
