"""How far two arrays are apart, and which layer is the first bad one."""

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current_results
from device_tests.measure.explain import layers
from device_tests.results import layers as layer_files
from device_tests.results.layers import Layers
from models.common.errors import DataError
from tests.device_tests.conftest import artifact

ARTIFACT = artifact("a-b-c")
SIGNAL = np.array([[3.0, -4.0]], np.float32)


@pytest.mark.parametrize(
    ("ours", "sqnr_db", "max_abs", "cosine"),
    [(SIGNAL, None, 0.0, 1.0), (SIGNAL * 1.1, 20.0, 0.4, 1.0), (0 * SIGNAL, 0.0, 4.0, 0.0)],
    ids=["exact", "a tenth of noise", "dead"],
)
def test_an_error_is_the_noise_in_decibels_the_largest_difference_and_the_cosine(ours, sqnr_db, max_abs, cosine):
    row = layers.error("conv1", ours, SIGNAL)
    assert row.sqnr_db == pytest.approx(sqnr_db, abs=1e-3)
    assert (row.max_abs, row.cosine) == (pytest.approx(max_abs, abs=1e-6), pytest.approx(cosine))


def test_the_first_layer_whose_own_error_is_too_large_is_named():
    good, bad = layers.error("conv1", SIGNAL, SIGNAL), layers.error("conv2", 2 * SIGNAL, SIGNAL)
    worse = layers.error("dense1", -SIGNAL, SIGNAL)
    assert Layers(artifact="a", key="k", images=1, tool="t", errors=(good, bad, worse)).first_bad == "conv2"
    assert Layers(artifact="a", key="k", images=1, tool="t", errors=(good,)).first_bad == ""


def test_neither_what_a_layer_was_given_nor_what_is_not_paired_is_its_error():
    inherited = layers.error("conv2", -SIGNAL, SIGNAL, -SIGNAL)
    assert inherited.sqnr_db < layers.BAD_SQNR_DB
    assert not inherited.bad
    assert not replace(layers.error("conv1", -SIGNAL, SIGNAL), paired=False).bad


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
