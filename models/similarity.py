"""How similar an artifact's logits are to the float network's."""

import numpy as np

ALIKE = 0.9  # below this, rounding does not explain predictions that differ


def correlation(logits: np.ndarray, expected: np.ndarray) -> float:
    """Return the correlation of two sets of finite logits [N,K] after subtracting each class's mean over the images.

    0 if one set is constant. Without the subtraction two networks that ignore the image would correlate by their means.
    """
    ours, theirs = (values.astype(np.float64) - values.mean(0, dtype=np.float64) for values in (logits, expected))
    energy = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
    return float((ours * theirs).sum() / energy) if energy > 0 else 0.0
