"""Evaluation images as the Android app reads them: a JSON that describes them, and their bytes."""

from __future__ import annotations

from typing import Any

from models.reference import Reference


def described(reference_set: Reference, count: int) -> tuple[dict[str, Any], bytes]:
    """Return the description and the bytes of the first `count` images.

    The bytes hold images uint8 or float32 [N,H,W,C], labels int32 [N] and the classes that the float network answers,
    int32 [N], little-endian.
    """
    images = reference_set.images[:count]
    height, width, *rest = images.shape[1:]
    facts = {
        "model": reference_set.model,
        "dataset_sha256": reference_set.dataset_sha256,
        "count": len(images),
        "height": height,
        "width": width,
        "channels": rest[0] if rest else 1,
        "dtype": images.dtype.name,
    }
    arrays = (
        images.astype(images.dtype.newbyteorder("<")),
        reference_set.labels[:count],
        reference_set.logits[:count].argmax(1),
    )
    return facts, b"".join(a.tobytes() if i == 0 else a.astype("<i4").tobytes() for i, a in enumerate(arrays))
