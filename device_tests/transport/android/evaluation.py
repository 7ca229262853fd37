"""Evaluation images as the Android app reads them: a JSON that describes them, and their bytes."""

from typing import Any

from models.reference import Reference


def described(reference_set: Reference, count: int) -> tuple[dict[str, Any], bytes]:
    """Return the description and the bytes of the first `count` images.

    The bytes hold images uint8 or float32 [N,H,W,C], labels int32 [N] and the classes that the float network answers,
    int32 [N], little-endian.
    """
    images = reference_set.images[:count]
    height, width, *rest = images.shape[1:]
    facts = {"model": reference_set.model, "dataset_sha256": reference_set.dataset_sha256, "count": len(images)}
    facts |= {"height": height, "width": width, "channels": rest[0] if rest else 1, "dtype": images.dtype.name}
    classes = (reference_set.labels[:count], reference_set.logits[:count].argmax(1))
    arrays = (images.astype(images.dtype.newbyteorder("<")), *(each.astype("<i4") for each in classes))
    return facts, b"".join(array.tobytes() for array in arrays)
