"""How far two arrays are apart, and which layer is the first bad one."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current
from device_tests.measure.explain import layers
from device_tests.results import layers as layer_files
from device_tests.results.layers import Layers
from export.artifact import Artifact
from models.errors import DataError

ARTIFACT = Artifact(id="a-b-c", model="a", framework="torch", format="b", scheme="c", key="k", sha256="a" * 64)
SIGNAL = np.array([[3.0, -4.0]], np.float32)


def test_an_exact_layer_has_no_noise():
    row = layers.error("conv1", SIGNAL, SIGNAL)
    assert (row.sqnr_db, row.max_abs) == (None, 0.0)
    assert row.cosine == pytest.approx(1.0)


def test_noise_of_a_tenth_is_20_decibels():
    row = layers.error("conv1", SIGNAL * 1.1, SIGNAL)
    assert row.sqnr_db == pytest.approx(20, abs=1e-3)
    assert row.max_abs == pytest.approx(0.4, abs=1e-6)


def test_a_dead_layer_is_bad():
    assert layers.error("conv1", np.zeros_like(SIGNAL), SIGNAL).cosine == 0.0


def test_the_first_layer_whose_own_error_is_too_large_is_named():
    good, bad = layers.error("conv1", SIGNAL, SIGNAL), layers.error("conv2", 2 * SIGNAL, SIGNAL)
    worse = layers.error("dense1", -SIGNAL, SIGNAL)
    assert Layers(artifact="a", key="k", images=1, tool="t", errors=(good, bad, worse)).first_bad == "conv2"
    assert Layers(artifact="a", key="k", images=1, tool="t", errors=(good,)).first_bad == ""


def test_what_a_layer_was_given_is_not_its_error():
    inherited = layers.error("conv2", -SIGNAL, SIGNAL, -SIGNAL)
    assert inherited.sqnr_db < layers.BAD_SQNR_DB
    assert not inherited.bad


def test_a_layer_that_is_not_paired_is_never_bad():
    assert not replace(layers.error("conv1", -SIGNAL, SIGNAL), paired=False).bad


@pytest.fixture
def stored(tmp_path):
    """A results folder with layers of ARTIFACT, and those layers."""
    errors = (layers.error("conv1", SIGNAL, SIGNAL), layers.error("conv2", SIGNAL, SIGNAL[:, ::-1]))
    measured = Layers(
        artifact=ARTIFACT.id, key=current.explanation(ARTIFACT, current.EXPORT), images=1, tool="t", errors=errors
    )
    layer_files.save(measured, tmp_path)
    return tmp_path, measured


def test_kept_layers_are_those_that_were_measured(stored):
    results, measured = stored
    assert current.layers(results, ARTIFACT) == measured


def test_kept_layers_do_not_hold_for_another_file(stored):
    assert current.layers(stored[0], replace(ARTIFACT, sha256="b" * 64)) is None


def test_a_broken_file_of_layers_is_said(stored):
    layer_files.path(stored[0], ARTIFACT.id).write_text("[]")
    with pytest.raises(DataError, match="Delete it and run: nox -s explain -- --all --layers a-b-c"):
        current.layers(stored[0], ARTIFACT)
