"""Layers of real files, as OpenVINO and ncnn give them."""

from __future__ import annotations

import numpy as np
import pytest

from device_tests.measure.explain import layers, ncnn, open_engine, openvino, source
from device_tests.measure.explain.compare import compare
from export.formats import FORMATS
from export.source import Source
from models import data
from models.images import network_input
from tests.device_tests.conftest import MODEL, need_environment

pytestmark = pytest.mark.slow

OPENED = {
    "openvino": ("int8", open_engine.OpenVino, openvino.explain, "int8"),
    "ncnn": ("float16", open_engine.Ncnn, ncnn.explain, "float16"),
}


@pytest.mark.parametrize("name", OPENED)
def test_every_layer_is_paired_none_is_bad_and_the_receipt_names_what_is_stored(name, tmp_path):
    need_environment(name)
    scheme, opened, explain, stored = OPENED[name]
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
    assert [operator.weights for operator in operators] == [stored] * 4
    assert {operator.integer for operator in operators} == {name == "openvino"}
