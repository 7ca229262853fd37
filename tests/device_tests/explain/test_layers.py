"""How far two arrays are apart, and which layer is the first bad one."""

from __future__ import annotations

import numpy as np
import pytest

from device_tests.explain import layers
from device_tests.explain.layers import Layers

SIGNAL = np.array([[3.0, -4.0]], np.float32)


def test_an_exact_layer_has_no_noise():
    found = layers.error("conv1", SIGNAL, SIGNAL)
    assert (found.sqnr_db, found.max_abs) == (None, 0.0)
    assert found.cosine == pytest.approx(1.0)


def test_noise_of_a_tenth_is_20_decibels():
    found = layers.error("conv1", SIGNAL * 1.1, SIGNAL)
    assert found.sqnr_db == pytest.approx(20, abs=1e-3)
    assert found.max_abs == pytest.approx(0.4, abs=1e-6)


def test_a_fused_relu_is_no_error():
    rectified = np.maximum(SIGNAL, 0)
    assert layers._layer_error("conv1", rectified, SIGNAL).sqnr_db is None
    assert layers.error("conv1", rectified, SIGNAL).cosine < 0.99


def test_a_dead_layer_is_bad():
    assert layers.error("conv1", np.zeros_like(SIGNAL), SIGNAL).cosine == 0.0


def test_the_first_layer_below_the_threshold_is_named():
    good, bad = layers.error("conv1", SIGNAL, SIGNAL), layers.error("conv2", SIGNAL[:, ::-1], SIGNAL)
    worse = layers.error("dense1", -SIGNAL, SIGNAL)
    assert Layers(artifact="a", images=1, tool="t", errors=(good, bad, worse)).first_bad == "conv2"
    assert Layers(artifact="a", images=1, tool="t", errors=(good,)).first_bad == ""
