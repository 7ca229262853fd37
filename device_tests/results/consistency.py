"""Checks a stored result against its own logits: one that was edited or half replaced must not count."""

import math
from pathlib import Path

from device_tests.results import judging, parity
from device_tests.results.measurement import Measurement
from export.artifact import Artifact
from models.common.errors import DataError
from models.reference import Reference

# the fields of a result that come from its logits and are exact
JUDGED = ("outcome", "total", "correct", "agree", "lost", "gained", "first_correct", "first_agree", "top5_correct",
          "source_top5_correct", "worst_class", "probabilities")  # fmt: skip
WITH_LOGITS = ("ok", "mismatch")  # outcomes with logits
LIBRARIES = 1e-4  # relative differences between numeric libraries


def contradiction(measurement: Measurement, artifact: Artifact, reference_set: Reference, results_folder: Path) -> str:
    """Return why a result's figures cannot be, or its logits cannot be read; "" where there is nothing wrong."""
    if why := measurement.impossible:
        return why
    if measurement.outcome == "skipped":
        return "it says that it was skipped, of which no result is kept"
    try:
        logits = parity.load(results_folder, measurement.id)
    except DataError as error:
        return str(error)
    if measurement.outcome not in WITH_LOGITS:
        return "" if logits is None else f"it is {measurement.outcome}, but has logits"
    for size in ("size_bytes", "compressed_bytes"):
        if getattr(measurement, size) != (right := getattr(artifact, size)):
            return f"{size} is {getattr(measurement, size)}, the artifact's {right}"
    if measurement.total is None or measurement.total > len(reference_set.images):
        return f"it was judged on {measurement.total or 0:,} images, the reference has {len(reference_set.images):,}"
    if logits is None:
        return "its logits are not there any more"
    try:
        judged = judging.judge(logits, reference_set)
    except (ValueError, IndexError) as error:
        return f"its logits cannot be judged ({error})"
    wrong = [name for name in JUDGED if getattr(measurement, name) != getattr(judged, name)]
    # an image whose confidence lies on the border of a bin may fall into the next bin elsewhere
    wrong += [
        name
        for name, absolute in (("max_abs_error", 0.0), ("ece", 2 / judged.total), ("source_ece", 2 / judged.total))
        if not _near(getattr(measurement, name), getattr(judged, name), absolute)
    ]
    if not wrong:
        return ""
    return f"{wrong[0]} is {getattr(measurement, wrong[0])}, its logits give {getattr(judged, wrong[0])}"


def _near(one: float | None, other: float | None, absolute: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=LIBRARIES, abs_tol=absolute)
