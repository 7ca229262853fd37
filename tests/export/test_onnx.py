"""ONNX and the ORT format: real conversions of the Keras network; test_lane.py holds those of the small PyTorch one."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export import judge
from export.contract import Tensor
from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from models.common.environments import ROOT
from models.common.errors import Unsupported
from tests.export.conftest import differing, model_of

pytestmark = pytest.mark.slow

DENSE, CONVOLUTIONS = 3_221_504, 52_000  # weights
SCHEME_NAMES = ("dynamic_int8", "float32", "float16", "int8", "int4")
FILES = {f"{name}-{scheme}.{name}": (name, scheme) for name in ("onnx", "ort") for scheme in SCHEME_NAMES}


@pytest.fixture(scope="module")
def source() -> Source:
    return Source("keras_cnn", "digits")


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    untouched = Source(source.model, "digits")  # its network is loaded by the conversion, not before
    for file, (name, scheme) in FILES.items():
        FORMATS[name].convert(untouched, scheme, folder / file)
    return folder


@pytest.mark.parametrize("file", FILES)
def test_a_file_keeps_the_promises_of_its_scheme_and_holds_nothing_of_this_machine(file, source, folder, images):
    (name, scheme), path = FILES[file], folder / file
    contents = FORMATS[name].inspect(path)
    judge.judge_weights(contents, SCHEMES[scheme])
    judge.judge_size(path.stat().st_size, contents, SCHEMES[scheme], source.deployed.stated["parameters"])
    judge.judge_logits(FORMATS[name].run(path, images), source.logits(images), SCHEMES[scheme])
    assert contents.inputs == (Tensor(name="image", shape=(-1, *source.input_shape), dtype="float32"),)
    assert contents.outputs == (Tensor(name="logits", shape=(-1, 10), dtype="float32"),)
    if scheme == "int4":
        assert contents.weights == {"int4": DENSE, "int8": CONVOLUTIONS}
    elif scheme != "dynamic_int8":
        assert contents.weights == {scheme: DENSE + CONVOLUTIONS}
    for trace in (ROOT, sys.prefix, Path.home(), folder, "site-packages", "stack_trace", 'File "'):
        assert str(trace).encode() not in path.read_bytes()


@pytest.mark.parametrize(("name", "when"), [("onnx", "on loading"), ("ort", "at every inference")])
def test_notes_name_the_layers_that_compute_in_float(name, when, folder):
    notes = {s: FORMATS[name].inspect(folder / file).notes for file, (n, s) in FILES.items() if n == name}
    assert notes["float32"] == notes["int8"] == ()
    assert notes["int4"] == (f"conv1, conv2: int8 weights, widened to float32 {when}",)


# not where activations are rounded on the way: the range of all images counts, or one beside a border goes the other way
@pytest.mark.parametrize(
    "file", [file for file, (_, scheme) in FILES.items() if scheme not in ("dynamic_int8", "int4")]
)
def test_the_batch_is_free(file, folder, images):
    run = FORMATS[FILES[file][0]].run
    np.testing.assert_allclose(run(folder / file, images, len(images)), run(folder / file, images), atol=1e-3)


@pytest.mark.parametrize(("scheme", "layers"), [("dynamic_int8", 2), ("int8", 4)])
def test_no_pair_of_products_reaches_the_16_bits_of_vpmaddubsw(scheme, layers, folder):
    import onnx

    graph = onnx.load(folder / f"onnx-{scheme}.onnx").graph
    widened = {node.input[0] for node in graph.node if node.op_type == "Cast"}  # the others are multiplied as bytes
    matrices = (onnx.numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) > 1 and t.name not in widened)
    weights = [values for values in matrices if values.dtype == np.int8]
    assert len(weights) == layers
    peak = max(int(np.abs(values.astype(np.int32)).max()) for values in weights)
    assert 60 <= peak <= (2**15 - 1) // (2 * 255)


def test_another_process_writes_the_same_onnx(source, folder, tmp_path):
    written = {file: recipe for file, recipe in FILES.items() if recipe[0] == "onnx"}
    assert not differing(source, folder, tmp_path, written)


def test_two_ort_files_differ_in_nothing_but_what_irreproducible_says(source, folder, tmp_path):
    from export.formats import ort

    ort.convert(source, "int8", tmp_path / "again.ort")
    assert ort.read(tmp_path / "again.ort") == ort.read(folder / "ort-int8.ort")
    assert "kernel_type_str_resolver" in ort.irreproducible


def test_operators_that_the_ort_format_cannot_hold_are_unsupported_in_the_tools_words(tmp_path, monkeypatch):
    from export.formats import _onnx_schemes

    model = model_of([("Teleport", ["image"], ["logits"], {})])
    monkeypatch.setattr(_onnx_schemes, "build", lambda source, scheme: model.SerializeToString())
    with pytest.raises(Unsupported, match="Teleport"):
        FORMATS["ort"].convert(Source("torch_cnn_small"), "int8", tmp_path / "x.ort")


def test_constants_of_a_concatenation_inputs_left_out_and_several_outputs_are_named_by_their_place():
    """`split1` stood for both halves, which is no graph."""
    from export.formats import _onnx_graph

    split = ("Split", ["image"], ["a", "b"], {"axis": 1, "num_outputs": 2})
    halves = model_of([split, ("Add", ["a", "b"], ["logits"], {})], [(1, 4), (1, 2)])
    _onnx_graph._rename(halves)
    assert [list(node.input) for node in halves.graph.node] == [["image"], ["split1", "split1.1"]]
    nodes = [("Concat", ["a77", "image", "b78"], ["x"], {"axis": 1}), ("Clip", ["x", "", "c79"], ["logits"], {})]
    constants = {"a77": np.float32([[1]]), "b78": np.float32([[1]]), "c79": np.float32(6)}
    model = model_of(nodes, [(1, 3), (1, 3)], constants)
    _onnx_graph._rename(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["concat1.inputs", "concat1.inputs2", "clip1.max"]
    concat, clip = (list(node.input) for node in model.graph.node)
    assert (concat, clip) == (["concat1.inputs", "image", "concat1.inputs2"], ["concat1", "", "clip1.max"])


@pytest.mark.parametrize(("nodes", "takes"), [
    ([("Flatten", ["image"], ["logits"], {})], True),
    ([("Gather", ["image", "first"], ["x"], {}), ("Flatten", ["x"], ["logits"], {})], False),
    ([("Concat", ["image", "one"], ["x"], {"axis": 1}), ("Flatten", ["x"], ["logits"], {})], False),
])  # fmt: skip
def test_a_graph_with_a_constant_of_one_images_shape_takes_one_image(source, nodes, takes):
    """A padding that goes round an image became a constant of one image: the file gave one answer to seventeen."""
    from export.formats import _onnx_graph

    constants = {"first": np.int64([0]), "one": np.zeros((1, 28, 28, 1), np.float32)}
    model = model_of(nodes, [("N", 28, 28, 1), ("N", "K")], constants)
    of_it = SimpleNamespace(input=source.input, sets=source.sets, classes=784)
    assert _onnx_graph._takes_several(model, of_it) == takes


PADS = np.int64([0, 0, 0, 1, 0, 0, 1, 2])


@pytest.mark.parametrize(
    ("pads", "filled", "mode", "conv", "expected"),
    [
        (PADS, None, {}, {}, [0, 1, 1, 2]),
        (PADS, np.float32(0), {"mode": "constant"}, {"pads": [1, 1, 0, 0]}, [1, 2, 1, 2]),
        (PADS, np.float32(1), {}, {}, None),
        (PADS, None, {"mode": "edge"}, {}, None),
        (PADS, None, {}, {"auto_pad": "VALID"}, None),
        (np.int64([0, 1, 0, 1, 0, 0, 1, 2]), None, {}, {}, None),
        (np.int64([0, 0, 0, -1, 0, 0, 1, 2]), None, {}, {}, None),
    ],
    ids=["none", "own", "ones", "edge", "computed", "channels", "cropped"],
)
def test_a_convolution_takes_over_zeros_that_an_operator_adds(pads, filled, mode, conv, expected):
    import onnx
    from onnx.reference import ReferenceEvaluator

    from export.formats import _onnx_graph

    constants = {"pads": pads, "weights": np.ones((1, 1 + pads[1], 2, 2), np.float32)}
    constants |= {} if filled is None else {"filled": filled}
    pad = ("Pad", ["image", "pads", *(["filled"] if filled is not None else [])], ["padded"], mode)
    model = model_of([pad, ("Conv", ["padded", "weights"], ["logits"], conv)], [(1, 1, 4, 4), (1, 1, 4, 6)], constants)
    before = onnx.load_from_string(model.SerializeToString())
    _onnx_graph._fold_paddings(model)
    if expected is None:
        assert model == before
        return
    (node,) = model.graph.node
    assert next(list(a.ints) for a in node.attribute if a.name == "pads") == expected
    image = np.random.default_rng(0).random((1, 1, 4, 4), np.float32)
    (given,), (want,) = (ReferenceEvaluator(graph).run(None, {"image": image}) for graph in (model, before))
    np.testing.assert_allclose(given, want)


@pytest.mark.parametrize(("batch", "sizes"), [("n", [100, 100, 100]), (3, [3] * 67)])
def test_calibration_takes_as_many_images_at_once_as_the_graph_takes_or_memory_holds(tmp_path, batch, sizes):
    import onnx

    from export.formats import _onnx_schemes

    onnx.save(model_of([("Relu", ["image"], ["logits"], {})], ((batch, 2), (batch, 2))), tmp_path / "model.onnx")
    images = np.zeros((201, 2), np.float32)
    reader = _onnx_schemes._calibration(str(tmp_path / "model.onnx"), images)
    assert [len(given["image"]) for given in iter(reader.get_next, None)] == sizes
