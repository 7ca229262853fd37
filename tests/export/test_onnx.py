"""ONNX and the ORT format: real conversions of the small PyTorch network and of the Keras one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import judge
from export.contract import Tensor
from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from models import data
from models.errors import Unsupported

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("torch_cnn_small", "keras_cnn")
NAMES = ("onnx", "ort")
DENSE = {"torch_cnn_small": 16_500, "keras_cnn": 3_221_504}
CONVOLUTIONS = {"torch_cnn_small": 5_250, "keras_cnn": 52_000}
STORED = ("float32", "float16", "int8", "int4")
SCHEME_NAMES = ("dynamic_int8", *STORED)


@pytest.fixture(scope="module", params=MODELS)
def source(request) -> Source:
    return Source(request.param, "digits")


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    untouched = Source(source.model, "digits")  # its network is loaded by the conversion, not before
    for name in NAMES:
        for scheme in SCHEME_NAMES:
            FORMATS[name].convert(untouched, scheme, path_of(folder, name, scheme))
    return folder


@pytest.fixture(scope="module")
def images(source: Source) -> np.ndarray:
    return source.input(data.load("test", "digits").images[:100])


def path_of(folder: Path, name: str, scheme: str) -> Path:
    return folder / f"{name}-{scheme}{FORMATS[name].suffix}"


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_keeps_the_promises_of_its_scheme(name, scheme, source, folder, images):
    path = path_of(folder, name, scheme)
    contents = FORMATS[name].inspect(path)
    judge.judge_weights(contents, SCHEMES[scheme])
    judge.judge_size(path.stat().st_size, contents, SCHEMES[scheme], source.deployed.stated["parameters"])
    judge.judge_logits(FORMATS[name].run(path, images), source.logits(images), SCHEMES[scheme])
    assert contents.inputs == (Tensor(name="image", shape=(-1, *source.input_shape), dtype="float32"),)
    assert contents.outputs == (Tensor(name="logits", shape=(-1, 10), dtype="float32"),)


@pytest.mark.parametrize("scheme", STORED)
@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_counted_once(name, scheme, source, folder):
    dense, convolutions = DENSE[source.model], CONVOLUTIONS[source.model]
    expected = {"int4": dense, "int8": convolutions} if scheme == "int4" else {scheme: dense + convolutions}
    assert FORMATS[name].inspect(path_of(folder, name, scheme)).weights == expected


@pytest.mark.parametrize(("name", "when"), [("onnx", "on loading"), ("ort", "at every inference")])
def test_notes_name_the_layers_that_compute_in_float(name, when, folder):
    notes = {scheme: FORMATS[name].inspect(path_of(folder, name, scheme)).notes for scheme in STORED}
    assert notes["float32"] == notes["int8"] == ()
    assert notes["int4"] == (f"conv1, conv2: int8 weights, widened to float32 {when}",)


@pytest.mark.parametrize("scheme", STORED)
@pytest.mark.parametrize("name", NAMES)
def test_the_batch_is_free(name, scheme, folder, images):
    from export.formats import _onnxruntime

    path = path_of(folder, name, scheme)
    together = _onnxruntime.session(path).run(None, {"image": images})[0]
    atol = 1e-3
    if scheme == "int4":
        # It rounds the activations of dense layers to 8 bits. A convolution of many images may sum in another order
        # than that of one (on AVX2 it does, on AVX-512 not), and a value beside a border is then rounded the other way.
        atol += rounding_the_other_way(folder, images)
    np.testing.assert_allclose(together, FORMATS[name].run(path, images), atol=atol)


def rounding_the_other_way(folder: Path, images: np.ndarray) -> float:
    """Return by how much logits move when one input of each dense layer is rounded to its other 8-bit neighbour."""
    import onnx
    import onnxruntime

    model = onnx.load(path_of(folder, "onnx", "float32"))
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    dense = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    matrices = []
    for node in dense:
        flipped = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        matrices.append(stored[node.input[1]].T if flipped else stored[node.input[1]])
        model.graph.output.append(onnx.ValueInfoProto(name=node.input[0]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = session.run([node.input[0] for node in dense], {"image": images})
    moved, following = 0.0, np.eye(10)
    for values, matrix in reversed([*zip(inputs, matrices, strict=True)]):
        following = np.abs(matrix) @ following  # by how much a logit moves at most with each input
        moved += np.abs(values).max() / 127 * following.max()
    return moved


def products_of_bytes(path: Path) -> list[np.ndarray]:
    """Return the weights that are multiplied as bytes: those that no Cast widens to float32."""
    import onnx

    graph = onnx.load(path).graph
    widened = {node.input[0] for node in graph.node if node.op_type == "Cast"}
    matrices = (onnx.numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) > 1 and t.name not in widened)
    return [values for values in matrices if values.dtype == np.int8]


@pytest.mark.parametrize(("scheme", "layers"), [("dynamic_int8", 2), ("int8", 4)])
def test_no_pair_of_products_reaches_the_16_bits_of_vpmaddubsw(scheme, layers, folder):
    weights = products_of_bytes(path_of(folder, "onnx", scheme))
    assert len(weights) == layers
    peak = max(int(np.abs(values.astype(np.int32)).max()) for values in weights)
    assert 60 <= peak <= (2**15 - 1) // (2 * 255)


@pytest.mark.parametrize("scheme", STORED)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_this_machine_is_in_a_file(name, scheme, folder):
    content = path_of(folder, name, scheme).read_bytes()
    for trace in (ROOT, sys.prefix, Path.home(), folder, "site-packages", "stack_trace", 'File "'):
        assert str(trace).encode() not in content


def test_another_process_writes_the_same_onnx(source, folder, tmp_path):
    # the second network of its process, another hash seed, another working folder
    convert = (
        "import sys; from pathlib import Path; from export.formats import FORMATS; from export.source import Source\n"
        "source = Source(sys.argv[1], 'digits'); source.fresh_network()\n"
        "for scheme in sys.argv[2:]: FORMATS['onnx'].convert(source, scheme, Path(f'onnx-{scheme}.onnx'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", convert, source.model, *SCHEME_NAMES]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    for again in tmp_path.iterdir():
        assert again.read_bytes() == (folder / again.name).read_bytes(), again.name
    assert len(list(tmp_path.iterdir())) == len(SCHEME_NAMES)


def test_two_ort_files_differ_in_nothing_but_what_irreproducible_says(source, folder, tmp_path):
    from export.formats import ort

    ort.convert(source, "int8", tmp_path / "again.ort")
    assert ort._read(tmp_path / "again.ort") == ort._read(path_of(folder, "ort", "int8"))
    assert "kernel_type_str_resolver" in ort.irreproducible


def test_operators_that_the_ort_format_cannot_hold_are_unsupported_in_the_tools_words(tmp_path, monkeypatch):
    from onnx import TensorProto, helper

    from export.formats import _onnx_schemes

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("image", "logits")]
    graph = helper.make_graph([helper.make_node("Teleport", ["image"], ["logits"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    monkeypatch.setattr(_onnx_schemes, "build", lambda source, scheme: model.SerializeToString())
    with pytest.raises(Unsupported, match="Teleport"):
        FORMATS["ort"].convert(Source("torch_cnn_small"), "int8", tmp_path / "x.ort")


def test_a_reshape_that_folds_the_batch_into_another_axis_leaves_the_batch_at_one():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from export.formats import _onnx_graph

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("image", "logits")]
    shape = numpy_helper.from_array(np.array([2, 2]), "shape")
    node = helper.make_node("Reshape", ["image", "shape"], ["logits"], "flatten")
    model: onnx.ModelProto = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], [shape]))
    before = model.SerializeToString()
    assert not _onnx_graph._free_batch(model)
    assert model.SerializeToString() == before


def test_an_operator_of_several_outputs_gives_each_a_name():
    """`split1` stood for both halves, which is no graph."""
    import onnx
    from onnx import TensorProto, helper

    from export.formats import _onnx_graph

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n]) for name, n in (("image", 4), ("logits", 2))]
    nodes = [
        helper.make_node("Split", ["image"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Add", ["a", "b"], ["logits"]),
    ]
    model: onnx.ModelProto = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    _onnx_graph._rename(model)
    assert [list(node.input) for node in model.graph.node] == [["image"], ["split1", "split1.1"]]


def test_constants_of_a_concatenation_and_inputs_left_out_are_named_by_their_place():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from export.formats import _onnx_graph

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("image", "logits")]
    tensors = [numpy_helper.from_array(np.float32([[1]]), name) for name in ("a77", "b78")]
    most = numpy_helper.from_array(np.float32(6), "c79")
    nodes = [
        helper.make_node("Concat", ["a77", "image", "b78"], ["x"], axis=1),
        helper.make_node("Clip", ["x", "", "c79"], ["logits"]),
    ]
    model: onnx.ModelProto = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [*tensors, most]))
    _onnx_graph._rename(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["concat1.inputs", "concat1.inputs2", "clip1.max"]
    assert [list(node.input) for node in model.graph.node] == [
        ["concat1.inputs", "image", "concat1.inputs2"],
        ["concat1", "", "clip1.max"],
    ]
