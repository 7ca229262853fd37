"""Makes the reference that all artifacts of a model are judged by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.source import Source
from models.errors import DataError
from models.images import LabelledImages
from models.reference import EvaluationSet, Reference


def make(source: Source, *, key: str, inputs: Mapping[str, str]) -> Reference:
    """Return the float network's logits on its evaluation sets; raises DataError where they are not finite.

    `key` and `inputs` say what the logits are computed from (export/keys.py).
    """
    judged, *others = source.sets
    return Reference(
        model=source.model,
        dataset=judged.name,
        dataset_sha256=judged.sha256,
        checkpoint_sha256=source.checkpoint_sha256,
        key=key,
        inputs=inputs,
        others={other.name: EvaluationSet(**_answered(source, other)) for other in others},
        **_answered(source, judged),
    )


def _answered(source: Source, images: LabelledImages) -> dict[str, np.ndarray]:
    logits = source.logits(source.input(images.images)).astype(np.float32)
    if not np.isfinite(logits).all():
        msg = f"{source.model} gives logits that are not finite for {(~np.isfinite(logits).all(1)).sum():,} images of {images.name}."
        raise DataError(msg)
    return {"images": images.images, "labels": images.labels, "logits": logits}
