"""Placements and layers of real artifacts of the small network in each family of formats."""

from pathlib import Path

import numpy as np
import pytest

from device_tests.measure.explain import layers, ncnn, openvino, run, source, tensor_values_engine
from device_tests.measure.explain.compare import compare
from device_tests.results.layers import Layers
from export import artifact as artifacts
from export.formats import FORMATS
from export.source import Source
from models import data, reference
from models.common import files
from models.common.errors import Unsupported
from models.images import network_input
from models.zoo import ZOO
from tests.device_tests.conftest import MODEL, export, need_environment

pytestmark = pytest.mark.slow

RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "executorch": "executorch", "torchscript": "torch"}
RUNTIMES |= {"ort": "onnxruntime", "torchscript_lite": "torch"}  # which show nothing of their inside
# what keeps its scales elsewhere, gives integers out, computes its ranges on the way, or halves
SCHEMES = {
    "tflite": ("int4", "int8_io", "int16x8"),
    "onnx": ("int4", "dynamic_int8"),
    "executorch": ("int4", "dynamic_int8", "float16"),
    "torchscript": ("dynamic_int8",),
}
OTHERS = [(name, scheme) for name, schemes in SCHEMES.items() for scheme in schemes]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    pairs = [*((name, "int8") for name in RUNTIMES), *OTHERS]
    return export(tmp_path_factory.mktemp("exported"), *(f"{MODEL}-{name}-{scheme}" for name, scheme in pairs))


def artifact(folder: Path, format_name: str, scheme: str = "int8") -> artifacts.Artifact:
    return artifacts.read(artifacts.sidecar_path(folder, f"{MODEL}-{format_name}-{scheme}"))


def measured(folder: Path, format_name: str, scheme: str = "int8") -> Layers:
    row = artifact(folder, format_name, scheme)
    return layers.measure(row, folder / row.file, reference.load(reference.path(folder, MODEL)))


@pytest.mark.parametrize("format_name", RUNTIMES)
def test_a_placement_accounts_for_every_byte_and_every_product(exported, format_name):
    if format_name == "tflite":
        need_environment("litert")
    row = artifact(exported, format_name)
    placement = run.make(row, exported, RUNTIMES[format_name])
    assert sum(p.size_bytes for p in placement.parts) == files.size_bytes(exported / row.file)
    assert all(p.size_bytes >= 0 for p in placement.parts)
    assert sum(o.macs for o in placement.operators) == ZOO[MODEL].SPEC.macs
    assert placement.integer_macs == 1.0
    assert placement.delegated_macs == (1.0 if format_name in ("tflite", "executorch") else None)
    assert placement.defects == ()


@pytest.mark.parametrize(("format_name", "scheme"), [*((name, "int8") for name in SCHEMES), *OTHERS])
def test_every_scheme_is_near_its_source_in_every_layer(exported, format_name, scheme):
    result = measured(exported, format_name, scheme)
    assert [e.layer for e in result.errors] == ["conv1", "conv2", "dense1", "dense2", layers.ANSWER]
    assert all(e.paired and (e.own_sqnr_db is None or e.own_sqnr_db > 20) for e in result.errors)
    assert result.first_bad == ""
    if scheme == "int8":
        assert all(20 < e.sqnr_db < 60 for e in result.errors)


@pytest.mark.parametrize("format_name", sorted(RUNTIMES.keys() - SCHEMES))
def test_a_file_that_shows_nothing_of_its_inside_says_so(exported, format_name):
    with pytest.raises(Unsupported, match="explain that one"):
        measured(exported, format_name)


@pytest.mark.parametrize(
    ("name", "scheme", "opened", "explain"),
    [
        ("openvino", "int8", tensor_values_engine.OpenVino, openvino.explain),
        ("ncnn", "float16", tensor_values_engine.Ncnn, ncnn.explain),
    ],
)
def test_layers_of_an_engine_are_paired_and_good_and_named_in_its_placement(name, scheme, opened, explain, tmp_path):
    need_environment(name)
    network = Source(MODEL, "digits")
    file_of = {part: tmp_path / f"{part}{FORMATS[name].suffix}" for part in (scheme, "float32")}
    for part, path in file_of.items():
        FORMATS[name].convert(network, part, path)
    images = network_input(data.load("test", "digits").images[:8], "chw")
    twin = opened(file_of["float32"])
    comparison = compare(opened(file_of[scheme]), twin, images, images)
    rows = layers.rows(comparison.tensors, twin.nodes, source.layers(MODEL))
    assert [row.layer for row in rows] == ["conv1", "conv2", "dense1", "dense2"]
    assert all(row.paired and row.own_sqnr_db > 25 for row in rows)
    np.testing.assert_allclose(comparison.twin_ends, network.logits(images), atol=1e-4)
    operators = [operator for operator in explain(file_of[scheme], name).operators if operator.weights]
    assert [operator.weights for operator in operators] == [scheme] * 4
    assert {operator.integer for operator in operators} == {name == "openvino"}
