"""Whether a converted file deserves its scheme's name: what silently stays float is a failure, not an artifact."""

from __future__ import annotations

import numpy as np

from export.contract import Contents, Tensor
from export.schemes import Scheme

BITS = {"float32": 32, "float16": 16, "int8": 8, "uint8": 8, "int4": 4}
OVERHEAD_BYTES = 48_000  # graph, names, code of the archive: what a file of the smallest network has besides weights


class Defect(Exception):
    """The conversion gave a file, but not the artifact that was asked for."""


def judge_weights(contents: Contents, scheme: Scheme) -> None:
    """Raise Defect unless the promised share of the weights is stored in the scheme's dtype."""
    total = sum(contents.weights.values())
    if not total:
        raise Defect("the file holds no weights")
    share = contents.weights.get(scheme.weights, 0) / total
    if share < scheme.min_share:
        msg = f"{scheme.name} must store {scheme.min_share:.0%} of the weights as {scheme.weights}, the file stores {share:.1%}: {dict(contents.weights)}"
        raise Defect(msg)


def judge_size(size_bytes: int, parameters: int, scheme: Scheme) -> None:
    """Raise Defect where a file is too small to hold the weights, or as large as if some had stayed float."""
    wide = 32 if scheme.min_share < 0.9 else BITS[scheme.weights]  # 4-bit tools may leave a part in float
    expected_bits = scheme.min_share * BITS[scheme.weights] + (1 - scheme.min_share) * wide
    most = parameters * expected_bits / 8 * 1.1 + OVERHEAD_BYTES
    least = parameters * BITS[scheme.weights] / 8 * 0.95
    if not least <= size_bytes <= most:
        msg = f"{scheme.name} of {parameters:,} parameters must take {least:,.0f} to {most:,.0f} bytes, the file has {size_bytes:,}"
        raise Defect(msg)


def judge_answers(answers: np.ndarray, expected: np.ndarray, scheme: Scheme) -> None:
    """Raise Defect where logits [N,10] are not finite or too far from the float source's [N,10]."""
    if answers.shape != expected.shape or not np.isfinite(answers).all():
        msg = f"the answers have shape {answers.shape} (expected {expected.shape}) or are not finite"
        raise Defect(msg)
    error = float(np.abs(answers - expected).max())
    agree = float((answers.argmax(1) == expected.argmax(1)).mean())
    if error > scheme.max_abs_error or agree < scheme.min_agree:
        msg = (
            f"on {len(answers)} images the logits differ by up to {error:.3g} (allowed {scheme.max_abs_error:g}) "
            f"and {agree:.1%} of the answers agree (required {scheme.min_agree:.0%})"
        )
        raise Defect(msg)


def to_native(grey: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return grey values 0..1 [N,...] as the artifact takes them."""
    shaped = grey.reshape(len(grey), *tensor.shape[1:])
    if tensor.scale is None:
        return shaped.astype(tensor.dtype)
    bounds = np.iinfo(tensor.dtype)
    return np.clip(np.rint(shaped / tensor.scale) + tensor.zero_point, bounds.min, bounds.max).astype(tensor.dtype)


def to_logits(native: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return the artifact's output [N,10] as float32 logits."""
    if tensor.scale is None:
        return native.astype(np.float32)
    return ((native.astype(np.float32) - tensor.zero_point) * tensor.scale).astype(np.float32)
