"""Makes the reference that all artifacts of a model are judged by."""

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from export import cache, phases
from export.source import Source
from models import reference
from models.common.errors import DataError, StorageError
from models.images import LabelledImages
from models.reference import EvaluationSet, Reference

MOST_FILES, MOST_BYTES = 8, 64 << 20  # files, and images in the largest: each holds a model's evaluation images


def cached_or_new(source: Source, *, key: str, inputs: Mapping[str, str], anew: bool) -> Reference:
    """Return the reference from the cache where it was made from the same before, or `make` it, always if `anew`."""
    if source.deployed.code():  # it may import what no digest holds
        return make(source, key=key, inputs=inputs)
    path = cache.file("references", source.model, key)
    if not anew:
        with suppress(DataError):
            stored = reference.load(path)
            if stored.is_current(key):
                return stored
    new = make(source, key=key, inputs=inputs)
    if sum(part.images.nbytes for part in (new, *new.others.values())) > MOST_BYTES:
        return new
    with suppress(StorageError):  # the next export takes its time again
        reference.save(new, path)
    cache.prune(path.parent, MOST_FILES)
    return new


@phases.phase(phases.REFERENCE)
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
