"""Images as networks take them: transposed, never reshaped."""

from __future__ import annotations

import numpy as np
import pytest

from models.images import network_input


def test_bytes_become_floats_from_0_to_1_and_floats_stay():
    assert network_input(np.array([[[0, 255]]], np.uint8), "hw").ravel().tolist() == [0.0, 1.0]
    floats = np.array([[[-2.0, 300.0]]], np.float32)
    assert network_input(floats, "hwc").ravel().tolist() == [-2.0, 300.0]
    assert network_input(floats, "chw").dtype == np.float32


def test_channels_are_transposed():
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    arranged = network_input(images, "chw")
    assert arranged.shape == (2, 3, 4, 5)
    assert np.array_equal(arranged[1, 2], images[1, :, :, 2].astype(np.float32) / np.float32(255))
    assert not np.array_equal(arranged.ravel(), network_input(images, "hwc").ravel())


@pytest.mark.parametrize(("layout", "shape"), [("hw", (1, 4, 5)), ("hwc", (1, 4, 5, 1)), ("chw", (1, 1, 4, 5))])
def test_grey_images_have_one_channel_or_none(layout, shape):
    assert network_input(np.zeros((1, 4, 5), np.uint8), layout).shape == shape
    assert network_input(np.zeros((1, 4, 5, 1), np.uint8), layout).shape == shape


def test_colours_do_not_go_where_there_are_no_channels():
    with pytest.raises(ValueError, match="no channels, the images have 3"):
        network_input(np.zeros((1, 4, 5, 3), np.uint8), "hw")
