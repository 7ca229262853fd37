"""Images as a network takes them: uint8 becomes 0..1, and the channels go where its framework wants them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

Layout = Literal["hw", "hwc", "chw"]  # the order of one image's axes in a network's input
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """A named set: `images` uint8 or float32 [N,H,W] or [N,H,W,C], integer `labels` [N]."""

    name: str
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def sha256(self) -> str:
        """Digest of the pixels and labels, so that results on different data are never compared."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


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
        raise ValueError(f"the network takes no channels, the images have {floats.shape[-1]}")
    return floats[..., 0]
