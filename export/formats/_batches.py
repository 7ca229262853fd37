"""Images in batches of the size that a file takes."""

from collections.abc import Callable

import numpy as np


def answered(infer: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch: int = 1) -> np.ndarray:
    """Return what `infer` answers to images [N,...], so many at once; the last image fills up the last batch."""
    return np.concatenate([infer(part) for part in split(images, batch)])[: len(images)]


def split(images: np.ndarray, batch: int) -> list[np.ndarray]:
    """Return images [N,...] in parts of [batch,...]; the last image is repeated to fill up the last part."""
    missing = -len(images) % batch
    whole = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
    return [whole[i : i + batch] for i in range(0, len(whole), batch)]
