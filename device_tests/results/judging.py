"""What logits are worth: the one judge of desktops, devices and browsers."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from device_tests.results.measurement import FLIPS, Counts, Flip, Outcome
from models.records import Count, Magnitude, Positive, Record, Share
from models.reference import Reference

SANE_AGREEMENT = 0.9  # below it the answers have nothing to do with the network's
BINS = 15  # of the calibration error
FIRST = 1_000  # images on which a quick run judges, and on which runs of different thoroughness are compared


class Judgement(Record, kw_only=True):
    """What a measurement holds of its logits; the fields are its own (results/measurement.py)."""

    outcome: Outcome
    reason: str
    total: Positive
    correct: Count
    agree: Count
    lost: Count
    gained: Count
    first_correct: Count
    first_agree: Count
    max_abs_error: Magnitude | None
    ece: Share | None
    source_ece: Share
    flips: tuple[Flip, ...]


def unpack(packed: str, classes: int, most: int) -> np.ndarray:
    """Return the logits [N,K] that a worker or a page packed, N at most `most`; raises ValueError where they are none."""
    size = classes * np.dtype("<f4").itemsize
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(base64.b64decode(packed, validate=True), most * size + 1)  # never all of a bomb
    except (ValueError, zlib.error) as error:
        msg = f"its logits cannot be unpacked ({error})"
        raise ValueError(msg) from error
    if not unpacking.eof or not content or len(content) % size or len(content) > most * size:
        msg = f"there are no logits of 1 to {most:,} images"
        raise ValueError(msg)
    return np.frombuffer(content, "<f4").reshape(-1, classes)


def judge(logits: np.ndarray, answers: Reference) -> Judgement:
    """Count right and equal predictions of logits [N,K] on a reference's first N images.

    `lost` and `gained` pair them with the float source's; `flips` holds the first FLIPS images that are predicted
    otherwise than by the source; `first_correct` and `first_agree` are of the first FIRST images alone.
    """
    total = len(logits)
    labels, expected = answers.labels[:total], answers.logits[:total]
    finite = np.isfinite(logits).all(1)
    ours, theirs = predictions(logits), expected.argmax(1)
    right, source_right, equal = ours == labels, theirs == labels, ours == theirs
    error = float(np.abs(logits - expected).max()) if finite.all() else None
    span = float(expected.max() - expected.min())
    counted = f"{int(equal.sum()):,} of {total:,} answers agree with the float source's, {int(right.sum()):,} are right"
    outcome, reason = "ok", ""
    if not finite.all():
        outcome, reason = "mismatch", f"{(~finite).sum():,} answers are not finite; {counted}"
    elif equal.sum() < SANE_AGREEMENT * total:
        outcome, reason = "mismatch", f"{counted}; largest logit error {error:.4g}"
    elif error > span:
        outcome = "mismatch"
        reason = f"a logit is off by {error:.4g}, more than all of the float source's span ({span:.4g}); {counted}"
    return Judgement(
        outcome=outcome,
        reason=reason,
        total=total,
        correct=int(right.sum()),
        agree=int(equal.sum()),
        lost=int((source_right & ~right).sum()),
        gained=int((right & ~source_right).sum()),
        first_correct=int(right[:FIRST].sum()),
        first_agree=int(equal[:FIRST].sum()),
        max_abs_error=error,
        ece=calibration_error(logits, labels) if finite.all() else None,
        source_ece=calibration_error(expected, labels),
        flips=tuple(
            Flip(
                index=int(i),
                label=int(labels[i]),
                ours=int(ours[i]),
                theirs=int(theirs[i]),
                our_margin=margin(logits[i]) if finite[i] else None,
                their_margin=margin(expected[i]),
            )
            for i in np.flatnonzero(~equal)[:FLIPS]
        ),
    )


def count_digits(logits: np.ndarray, answers: Reference) -> Counts:
    """Count right and equal predictions of logits [N,K] on a reference's first N other digits."""
    labels, theirs = answers.digits_labels[: len(logits)], answers.digits_logits[: len(logits)].argmax(1)
    ours = predictions(logits)
    return Counts(
        total=len(logits),
        correct=int((ours == labels).sum()),
        source_correct=int((theirs == labels).sum()),
        agree=int((ours == theirs).sum()),
    )


def predictions(logits: np.ndarray) -> np.ndarray:
    """Return the classes that logits [N,K] predict; -1 where one is not a number, which is no prediction."""
    return np.where(np.isfinite(logits).all(1), logits.argmax(1), -1)


def margin(logits: np.ndarray) -> float:
    """Return the lead of the first class over the second, from logits [K]."""
    second, first = np.sort(logits)[-2:]
    return round(float(first - second), 4)


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error of logits [N,10]: how far confidence is from the share of right answers.

    Bins of equal width over the softmax of the answer, as in Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    odds = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    confidence = odds.max(1) / odds.sum(1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - (logits.argmax(1) == labels))
    return float(np.abs(gaps).sum() / len(labels))
