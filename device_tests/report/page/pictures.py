"""Pictures on the page: images of any size and dtype as bytes that its script draws."""

from base64 import b64encode
from typing import TypedDict

import numpy as np

SIDE = 64  # pixels of the longer side at most: the page must stay small enough to mail


class Picture(TypedDict):
    """Bytes [height,width,channels] in base64; one channel is grey, three are red, green and blue."""

    height: int
    width: int
    channels: int
    bytes: str


def picture(image: np.ndarray) -> Picture:
    """Return an image uint8 or float32, [H,W] or [H,W,C], as the page draws it.

    A large image is thinned out. Floats outside of 0..1 are stretched over all shades. An image of two, four or more
    channels is drawn as their mean.
    """
    image = image if image.ndim == 3 else image[..., None]
    step = -(-max(image.shape[:2]) // SIDE)
    thin = image[::step, ::step]
    if thin.shape[-1] not in (1, 3):
        thin = thin.mean(-1, keepdims=True).astype(image.dtype)
    shades = thin if thin.dtype == np.uint8 else _shades(thin)
    height, width, channels = shades.shape
    return {"height": height, "width": width, "channels": channels, "bytes": b64encode(shades.tobytes()).decode()}


def _shades(values: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(values.astype(np.float64))
    low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
    return np.rint((values - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
