"""Images as a network takes them: uint8 becomes 0..1, and the channels go where its framework wants them."""

from __future__ import annotations

from typing import Literal

import numpy as np

Layout = Literal["hw", "hwc", "chw"]  # the order of one image's axes in a network's input


def network_input(images: np.ndarray, layout: Layout) -> np.ndarray:
    """Return images [N,H,W] or [N,H,W,C] as float32 [N,*input_shape]; uint8 becomes 0..1, floats stay as they are.

    Axes are transposed, never reshaped: a picture of several channels would be scrambled in silence. Raises ValueError
    for images of several channels where the layout has none.
    """
    floats = images.astype(np.float32) / np.float32(255.0) if images.dtype == np.uint8 else images.astype(np.float32)
    if floats.ndim == 3:
        floats = floats[..., None]
    if layout == "hwc":
        return floats
    if layout == "chw":
        return np.ascontiguousarray(np.moveaxis(floats, -1, 1))
    if floats.shape[-1] != 1:
        msg = f"the network takes no channels, the images have {floats.shape[-1]}"
        raise ValueError(msg)
    return floats[..., 0]
