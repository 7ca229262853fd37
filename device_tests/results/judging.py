"""Judges logits against an evaluation set, for desktops, devices and browsers alike."""

import base64
import zlib

import numpy as np

from device_tests.results.measurement import CONFIDENCE, FLIPS, Counts, Flip, Judgement, Outcome, Recall
from models.reference import EvaluationSet
from models.similarity import ALIKE, correlation

SANE_AGREEMENT = 0.9  # below it logits must at least correlate with the network's, or they are a mismatch
BINS = 15  # of the calibration error
MANY = 10  # with more classes the first five are counted, too
NEAR_ONE = 1e-3  # largest distance of probabilities' sum from 1
NARROW = 0.0075  # the 95 % interval of agreement is narrow enough at this width
FIRST = 1_000  # images of a quick run, on which quick and whole runs can be compared


def unpack(packed: str, classes: int, most: int) -> np.ndarray:
    """Return packed logits [N,K], N at most `most`; raises ValueError where they cannot be unpacked."""
    size = classes * np.dtype("<f4").itemsize
    try:
        unpacking = zlib.decompressobj()
        # a limit, for a bomb would fill the memory
        content = unpacking.decompress(base64.b64decode(packed, validate=True), most * size + 1)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"its logits cannot be unpacked ({error})") from error
    if not unpacking.eof or not content or len(content) % size or len(content) > most * size:
        raise ValueError(f"there are no logits of 1 to {most:,} images")
    return np.frombuffer(content, "<f4").reshape(-1, classes)


def judge(logits: np.ndarray, evaluation_set: EvaluationSet) -> Judgement:
    """Judge logits [N,K] on the first N images of an evaluation set.

    `lost` and `gained` pair the right predictions with the float source's. `flips` holds the first FLIPS images whose
    prediction differs from the source's. `first_correct` and `first_agree` count the first FIRST images alone.
    """
    total = len(logits)
    labels, expected = evaluation_set.labels[:total], evaluation_set.logits[:total]
    finite, shares = np.isfinite(logits).all(1), are_probabilities(evaluation_set.logits)
    many = expected.shape[1] > MANY
    ours, theirs = predictions(logits), expected.argmax(1)
    right, source_right, equal = ours == labels, theirs == labels, ours == theirs
    error = float(np.abs(logits - expected).max()) if finite.all() else None
    outcome, reason = _outcome(logits, expected, error, agree=int(equal.sum()), correct=int(right.sum()))
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
        ece=calibration_error(logits, labels, probabilities=shares) if finite.all() else None,
        source_ece=calibration_error(expected, labels, probabilities=shares),
        probabilities=shares,
        top5_correct=within_five(logits, labels) if many else None,
        source_top5_correct=within_five(expected, labels) if many else None,
        worst_class=worst_class(ours, theirs, labels),
        flips=_flips(logits, evaluation_set, ours, theirs),
    )


def _outcome(
    logits: np.ndarray, expected: np.ndarray, error: float | None, *, agree: int, correct: int
) -> tuple[Outcome, str]:
    """Return `ok` or `mismatch` for logits [N,K], with the reason of a mismatch."""
    total, span = len(logits), float(expected.max() - expected.min())
    counted = f"{agree:,} of {total:,} answers agree with the float source's, {correct:,} are right"
    if error is None:
        return "mismatch", f"{(~np.isfinite(logits).all(1)).sum():,} answers are not finite; {counted}"
    if agree < SANE_AGREEMENT * total and correlation(logits, expected) < ALIKE:
        return "mismatch", f"{counted}; largest logit error {error:.4g}"
    if error > span:
        reason = f"a logit is off by {error:.4g}, more than all of the float source's span ({span:.4g}); {counted}"
        return "mismatch", reason
    return "ok", ""


def _flips(logits: np.ndarray, evaluation_set: EvaluationSet, ours: np.ndarray, theirs: np.ndarray) -> tuple[Flip, ...]:
    """Return the first FLIPS images whose prediction, ours [N], differs from the source's, theirs [N]."""
    flips = []
    for i in map(int, np.flatnonzero(ours != theirs)[:FLIPS]):
        classes = {"label": int(evaluation_set.labels[i]), "ours": int(ours[i]), "theirs": int(theirs[i])}
        own = margin(logits[i]) if np.isfinite(logits[i]).all() else None
        flips.append(Flip(index=i, **classes, our_margin=own, their_margin=margin(evaluation_set.logits[i])))
    return tuple(flips)


def count(logits: np.ndarray, evaluation_set: EvaluationSet) -> Counts:
    """Count right predictions, and those equal to the source's, of logits [N,K] on the first N images."""
    labels, theirs = evaluation_set.labels[: len(logits)], evaluation_set.logits[: len(logits)].argmax(1)
    ours = predictions(logits)
    return Counts(
        total=len(logits),
        correct=int((ours == labels).sum()),
        source_correct=int((theirs == labels).sum()),
        agree=int((ours == theirs).sum()),
    )


def is_enough(logits: np.ndarray, evaluation_set: EvaluationSet) -> bool:
    """Tell whether logits [N,K] show the agreement with the float source well enough, so that the worker may stop.

    They do where its exact 95 % interval (Clopper and Pearson 1934) is narrow, or lies below SANE_AGREEMENT.
    """
    from scipy.stats import binomtest

    agree = int((predictions(logits) == evaluation_set.logits[: len(logits)].argmax(1)).sum())
    interval = binomtest(agree, len(logits)).proportion_ci(CONFIDENCE, method="exact")
    return interval.high - interval.low <= NARROW or interval.high < SANE_AGREEMENT


def predictions(logits: np.ndarray) -> np.ndarray:
    """Return the predicted classes of logits [N,K]; -1 where a logit is not finite."""
    return np.where(np.isfinite(logits).all(1), logits.argmax(1), -1)


def within_five(logits: np.ndarray, labels: np.ndarray) -> int:
    """Return how many of the labels [N] are among the five largest of logits [N,K]; of equal logits the first counts."""
    classes = np.arange(logits.shape[1])
    own = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)
    before = (logits > own) | ((logits == own) & (classes < labels[:, None]))
    return int(((before.sum(1) < 5) & np.isfinite(logits).all(1)).sum())


def worst_class(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Recall | None:
    """Return the class that loses most recall against the source's predictions [N]; None where no class loses any."""
    classes, index = np.unique(labels, return_inverse=True)
    totals, right, source_right = (
        np.bincount(index, weights=weights, minlength=len(classes)).astype(int)
        for weights in (None, ours == labels, theirs == labels)
    )
    worst = int(((source_right - right) / totals).argmax())
    if source_right[worst] <= right[worst]:
        return None
    counts = {"total": totals[worst], "correct": right[worst], "source_correct": source_right[worst]}
    return Recall(label=int(classes[worst]), **{name: int(n) for name, n in counts.items()})


def margin(logits: np.ndarray) -> float:
    """Return the lead of the first class over the second, from logits [K]."""
    second, first = np.sort(logits)[-2:]
    return round(float(first - second), 4)


def are_probabilities(outputs: np.ndarray) -> bool:
    """Tell whether outputs [N,K] are probabilities: none is negative, and each row's sum is 1."""
    return bool(outputs.size and outputs.min() >= 0 and np.abs(outputs.sum(1, dtype=np.float64) - 1).max() <= NEAR_ONE)


def calibration_error(logits: np.ndarray, labels: np.ndarray, *, probabilities: bool = False) -> float:
    """Return the expected calibration error of logits [N,K]: how far confidence is from the share of right predictions.

    Bins of equal width over the softmax of the prediction, as in Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    `probabilities` says that the outputs are probabilities, which are taken as they are.
    """
    if probabilities:
        # quantized probabilities may be a little more than 1
        confidence = np.clip(logits.max(1).astype(np.float64), 0.0, 1.0)
    else:
        odds = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        confidence = odds.max(1) / odds.sum(1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - (logits.argmax(1) == labels))
    return float(np.abs(gaps).sum() / len(labels))
