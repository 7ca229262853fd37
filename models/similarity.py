"""How much of the float network's answer an artifact's answer still holds."""

from __future__ import annotations

import numpy as np

ALIKE = 0.9  # less, and predictions that differ are no matter of rounding


def correlation(logits: np.ndarray, expected: np.ndarray) -> float:
    """Return the correlation of two sets of finite logits [N,K], each class' mean over the images taken out; 0 where one is constant.

    The means hold what a network says of every image: two that see nothing in them agree in their means.
    """
    ours, theirs = (values.astype(np.float64) - values.mean(0, dtype=np.float64) for values in (logits, expected))
    energy = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
    return float((ours * theirs).sum() / energy) if energy > 0 else 0.0
