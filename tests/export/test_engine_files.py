"""The files of OpenVINO, ncnn and Core ML: what is read from some that are written by hand, and what goes into others."""

import json

import numpy as np
import pytest

from export import artifact as artifacts
from export.formats import FORMATS, ncnn
from export.formats.ncnn import BIN, PARAM, TAGS
from export.judge import Defect
from export.source import Source
from models import mil
from tests.export.conftest import SMALL, model_of

GRAPH = """7767517
5 5
Input            in0    0 1 in0
Convolution      conv   1 1 in0 1 0=2 1=3 11=3 5=1 6=18
ConvolutionDepthWise dw 1 1 1 2 0=2 1=3 6=18 7=2
BatchNorm        norm   1 1 2 3 0=2
InnerProduct     dense  1 1 3 out0 0=3 1=1 2=12
"""


MARKS = {dtype: (tag, width) for tag, (dtype, width) in TAGS.items()}


@pytest.fixture
def ncnn_files(tmp_path):
    """Return a function that writes the two files with weights of a dtype, and some bytes more or fewer.

    In 8 bits the convolution hands on 8-bit values, too, and the depthwise one has a scale for each of two groups.
    """

    def write(dtype: str, *, more: int = 0):
        tag, width = MARKS[dtype]
        terms = {"conv ": 102, "dw ": 1, "dense ": 2} if dtype == "int8" else {}
        lines = [f"{line} 8={terms[name]}" if (name := next((n for n in terms if f" {n}" in line), "")) else line
                 for line in GRAPH.splitlines()]  # fmt: skip
        scales = (2 + 1 + 1, 2 + 1, 3 + 1) if terms else (0, 0, 0)
        weights = [tag.to_bytes(4, "little") + bytes((count * width + 3) // 4 * 4) for count in (18, 18, 12)]
        conv, depthwise, dense = (weights[i] + bytes(4 * (bias + scales[i])) for i, bias in enumerate((2, 0, 3)))
        content = conv + depthwise + bytes(4 * 4 * 2) + dense
        (tmp_path / PARAM).write_text("\n".join(lines) + "\n")
        (tmp_path / BIN).write_bytes(content[: len(content) + more] + bytes(max(more, 0)))
        return tmp_path

    return write


@pytest.mark.parametrize("dtype", MARKS)
def test_ncnns_layers_are_found_with_what_they_are_stored_as_in_a_file_of_their_size(ncnn_files, dtype):
    contents = FORMATS["ncnn"].inspect(ncnn_files(dtype))
    assert dict(contents.weights) == {dtype: 48}
    assert [layer.shape for layer in contents.layers] == [(2, 1, 3, 3), (2, 1, 3, 3), (3, 4)]
    assert contents.parts == 5
    assert bool(contents.notes) == (dtype != "float32")
    for more in (-4, 4):
        with pytest.raises(Defect, match="account for"):
            FORMATS["ncnn"].inspect(ncnn_files(dtype, more=more))
    file = ncnn_files(dtype) / BIN
    file.write_bytes(b"abcd" + file.read_bytes()[4:])
    with pytest.raises(Defect, match="0x64636261, which is none of ncnn's marks"):
        FORMATS["ncnn"].inspect(file.parent)


TOKENS = """7767517
4 4
Input              in0    0 1 in0
MultiHeadAttention heads  1 1 in0 1 0=4 1=2 2=16
Gemm               gemm   1 1 1 2 10=4 3=1 5=1 6=1 7=9 8=6 9=4
Gemm               plain  1 1 2 out0 10=-1 3=1 5=1 6=1 7=9 8=3 9=6
"""


def test_layers_on_several_tokens_have_weights_too(tmp_path):
    heads = (bytes(4 + 4 * 16) + bytes(4 * 4)) * 4
    (tmp_path / PARAM).write_text(TOKENS)
    weights = heads + bytes(4 + 4 * 24) + bytes(4 + 4 * 6) + bytes(4 + 4 * 18)
    (tmp_path / BIN).write_bytes(weights)
    contents = FORMATS["ncnn"].inspect(tmp_path)
    assert [layer.shape for layer in contents.layers] == [(4, 4)] * 4 + [(6, 4), (3, 6)]
    (tmp_path / BIN).write_bytes(weights + bytes(4))
    with pytest.raises(Defect, match="supposed to have none: Input"):
        FORMATS["ncnn"].inspect(tmp_path)


def test_a_constant_among_ncnns_layers_is_a_table_unless_it_has_as_many_numbers_as_a_layers_weights(tmp_path):
    """The grid of a spatial transformer: the file was said to store more than its weights take."""
    lines = ["MemoryData grid 0 1 a 0=3 1=784", "MemoryData copy 0 1 b 0=6 1=2", "MemoryData bias 0 1 c 0=9"]
    lines += ["InnerProduct dense 1 1 in0 out0 0=3 1=1 2=12"]
    (tmp_path / PARAM).write_text("\n".join(["7767517", "4 4", *lines]) + "\n")
    (tmp_path / BIN).write_bytes(bytes(4 * (3 * 784 + 12 + 9) + 4 + 4 * 12 + 4 * 3))
    contents = FORMATS["ncnn"].inspect(tmp_path)
    assert (contents.tables, dict(contents.weights)) == (4 * 3 * 784, {"float32": 12})


# of layer, its parameters, and the numbers of each blob: of the input's weights, biases, the state's weights, a projection
STEPS = [
    ("GRU", "0=2 1=18 2=0", (18, 8, 12), [(6, 3), (6, 2)]),
    ("GRU", "0=2 1=36 2=2", (36, 16, 24), [(12, 3), (12, 2)]),
    ("LSTM", "0=2 1=24 2=0", (24, 8, 16), [(8, 3), (8, 2)]),
    ("LSTM", "0=2 1=48 2=0 3=4", (48, 16, 32, 8), [(16, 3), (16, 2), (2, 4)]),
    ("RNN", "0=2 1=12 2=2", (12, 4, 8), [(4, 3), (4, 2)]),
]


@pytest.mark.parametrize(("kind", "numbers", "blobs", "shapes"), STEPS)
def test_recurrent_layers_hold_weights_of_their_input_and_of_their_state(kind, numbers, blobs, shapes, tmp_path):
    (tmp_path / PARAM).write_text(f"7767517\n2 2\nInput in0 0 1 in0\n{kind} steps 1 1 in0 out0 {numbers}\n")
    (tmp_path / BIN).write_bytes(b"".join(bytes(4 + 4 * size) for size in blobs))
    assert [layer.shape for layer in FORMATS["ncnn"].inspect(tmp_path).layers] == shapes


def layer(id, kind, data="", ports=""):
    return f'<layer id="{id}" name="n{id}" type="{kind}"><data {data} />{ports}</layer>'


def port(side, *sizes):
    dims = "".join(f"<dim>{size}</dim>" for size in sizes)
    return f'<{side}><port id="0" precision="FP32">{dims}</port></{side}>'


LAYERS = (
    layer(0, "Parameter", ports=port("output", 1, 2, 4, 4)),
    layer(1, "Const", 'element_type="i8" shape="3, 2, 3, 3" offset="0" size="54"'),
    layer(2, "Convert"),
    layer(3, "Const", 'element_type="f32" shape="3, 1, 1, 1" offset="54" size="12"'),
    layer(4, "Multiply", ports=port("output", 3, 2, 3, 3)),
    layer(5, "Convolution"),
    layer(6, "MatMul"),  # of two activations
    layer(7, "Const", 'element_type="u4" shape="3, 2, 32" offset="66" size="96"'),
    layer(8, "Slice", ports=port("output", 3, 48)),  # of two blocks of 32 inputs, the last of which is padded
    layer(9, "MatMul"),
    layer(10, "Result", ports=port("input", 1, 3)),
)
CONVOLUTION = ((0, 5, 0), (1, 2, 0), (2, 4, 0), (3, 4, 1), (4, 5, 1))
PRODUCTS = ((5, 6, 0), (5, 6, 1), (7, 8, 0), (6, 9, 0), (8, 9, 1), (9, 10, 0))


def test_openvinos_weights_are_found_behind_what_widens_them(tmp_path):
    ports = CONVOLUTION + PRODUCTS
    edges = "".join(f'<edge from-layer="{a}" from-port="0" to-layer="{b}" to-port="{to}" />' for a, b, to in ports)
    (tmp_path / "model.xml").write_text(f"<net><layers>{''.join(LAYERS)}</layers><edges>{edges}</edges></net>")
    (tmp_path / "model.bin").write_bytes(bytes(162))
    contents = FORMATS["openvino"].inspect(tmp_path)
    assert dict(contents.weights) == {"int8": 54, "int4": 144}
    layers = [(one.operator, one.shape, one.dtype) for one in contents.layers]
    assert layers == [("Convolution", (3, 2, 3, 3), "int8"), ("MatMul", (3, 48), "int4")]
    (image,), (logits,) = contents.inputs, contents.outputs
    assert (image.shape, image.dtype, logits.shape) == ((1, 2, 4, 4), "float32", (1, 3))
    assert contents.constants == 162
    assert "widened" in contents.notes[0]


@pytest.mark.slow
def test_a_package_for_core_ml_names_its_model_and_no_date_and_says_what_judged_it(small):
    stored = artifacts.read(artifacts.sidecar_path(small, f"{SMALL}-coreml-float32"))
    assert "judged by the arithmetic of the file, not Apple's runtime" in stored.notes
    manifest = json.loads((small / stored.file / "Manifest.json").read_text())
    assert manifest["rootModelIdentifier"] in manifest["itemInfoEntries"]
    assert b"conversion_date" not in (small / stored.file / mil.MODEL).read_bytes()


@pytest.mark.slow
def test_logarithms_of_small_probabilities_are_no_logarithms_of_zero_in_half_precision(tmp_path):
    import torch

    source = Source("torch_cnn_small", "digits")
    dense = torch.nn.Linear(784, 10)
    torch.nn.init.uniform_(dense.bias, -60, 60)
    source.network = torch.nn.Sequential(torch.nn.Flatten(), dense, torch.nn.LogSoftmax(1)).eval()
    images = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    FORMATS["coreml"].convert(source, "float16", tmp_path / "net.mlpackage")
    np.testing.assert_allclose(
        FORMATS["coreml"].run(tmp_path / "net.mlpackage", images), source.logits(images), atol=0.2
    )


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_what_pnnx_is_given_reduces_over_two_axes_and_answers_the_same(axis, keep):
    import onnx
    from onnx.reference import ReferenceEvaluator

    tokens = np.random.default_rng(0).normal(size=(1, 5, 7)).astype(np.float32)
    mean = ("ReduceMean", ["image", "axes"], ["logits"], {"keepdims": keep})
    model = model_of([mean], (None, None), {"axes": [axis]})
    changed = onnx.load_from_string(ncnn._for_pnnx(model.SerializeToString()))
    axes = next(node.input[1] for node in changed.graph.node if node.op_type == "ReduceMean")
    assert next(t for t in changed.graph.initializer if t.name == axes).dims == [2]
    (answer,) = ReferenceEvaluator(changed).run(None, {"image": tokens})
    np.testing.assert_array_equal(answer, tokens.mean(axis, keepdims=bool(keep)))


@pytest.mark.slow
def test_each_output_of_a_dense_layer_gets_its_scale_however_its_weights_lie():
    import onnx

    from export.formats import _onnx_schemes

    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    model = model_of([("Gemm", ["image", "B"], ["logits"], {"transB": 0})], ((1, 4), (1, 3)), {"B": weights})
    _onnx_schemes.outputs_first(model)
    (tensor,) = model.graph.initializer
    assert (onnx.numpy_helper.to_array(tensor) == weights.T).all()
    assert {attribute.name: attribute.i for attribute in model.graph.node[0].attribute} == {"transB": 1}
    values, scale = _onnx_schemes._int8_per_column(weights)
    assert scale.shape == (1, 3)
    np.testing.assert_allclose(values * scale, weights, atol=scale.max() / 2)
