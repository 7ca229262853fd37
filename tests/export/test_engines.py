"""Core ML, OpenVINO and ncnn: real conversions of the small network, each made twice."""

import json

import numpy as np
import pytest

from export.formats import FORMATS, ncnn
from export.isolated import ncnn_tools
from export.source import Source
from models import mil
from models.common import files
from tests.export.conftest import model_of, require

pytestmark = pytest.mark.slow

# What a few files of each engine store their 21,750 weights as, and how far their logits may be off.
FILES = {
    ("coreml", "float32"): ({"float32": 21_750}, 1e-4),
    ("coreml", "int4"): ({"int4": 16_000, "float16": 5_750}, 3.0),  # only the first dense layer has blocks of 32
    ("coreml", "palette4"): ({"palette4": 21_750}, 6.0),
    ("openvino", "dynamic_int8"): ({"int8": 21_500, "float32": 250}, 1.0),  # the normalisation is folded into the first
    ("ncnn", "float16"): ({"float16": 21_750}, 0.1),
}
if ncnn_tools.identity():  # its two programs are in no wheel; CI builds neither
    FILES["ncnn", "int8"] = ({"int8": 21_750}, 3.0)


@pytest.mark.parametrize(("name", "scheme"), FILES, ids=map("-".join, FILES))
def test_a_file_answers_as_the_network_holds_its_weights_and_is_the_same_twice(name, scheme, source, images, tmp_path):
    require("export" if name == "coreml" else name)
    first, again = tmp_path / f"first{FORMATS[name].suffix}", tmp_path / f"again{FORMATS[name].suffix}"
    FORMATS[name].convert(source, scheme, first)
    FORMATS[name].convert(Source("torch_cnn_small", "digits"), scheme, again)
    assert files.sha256(first) == files.sha256(again)
    contents = FORMATS[name].inspect(first)
    weights, most = FILES[name, scheme]
    assert dict(contents.weights) == weights
    file_logits, expected = FORMATS[name].run(first, images[:30]), source.logits(images[:30])
    assert np.abs(file_logits - expected).max() < most
    assert scheme == "int4" or (file_logits.argmax(1) == expected.argmax(1)).all()
    if name == "coreml":
        assert "judged by the arithmetic of the file, not Apple's runtime" in contents.notes
        text = (first / "Manifest.json").read_text()
        assert json.loads(text)["rootModelIdentifier"] in json.loads(text)["itemInfoEntries"]
        assert b"conversion_date" not in (first / mil.MODEL).read_bytes()


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_what_pnnx_is_given_reduces_over_two_axes_and_answers_the_same(axis, keep):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    tokens = np.random.default_rng(0).normal(size=(1, 5, 7)).astype(np.float32)
    mean = ("ReduceMean", ["image", "axes"], ["logits"], {"keepdims": keep})
    model = model_of([mean], (None, None), {"axes": [axis]})
    changed = onnx.load_from_string(ncnn._for_pnnx(model.SerializeToString()))
    axes = next(node.input[1] for node in changed.graph.node if node.op_type == "ReduceMean")
    assert next(t for t in changed.graph.initializer if t.name == axes).dims == [2]
    (answer,) = ReferenceEvaluator(changed).run(None, {"image": tokens})
    np.testing.assert_array_equal(answer, tokens.mean(axis, keepdims=bool(keep)))


def test_each_output_of_a_dense_layer_gets_its_scale_however_its_weights_lie():
    onnx = pytest.importorskip("onnx")
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
