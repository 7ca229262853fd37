"""Groups of networks that take the same pictures, and what the page must know of these: size, values, classes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.artifact import Artifact
from models import suggested_commands
from models.common.errors import DataError
from models.reference import Reference

REFERENCE_IMAGES = 1_000
REFERENCE_BYTES = 32_000_000  # of a network's images, which a phone fetches to measure
LEAST_IMAGES = 10
USUAL_SPANS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What networks take: images of one `size` (height, width, channels) and `dtype`, of the classes `labels`.

    `low` and `high` are the values of a picture's darkest and brightest, per channel: 0 and 255 for bytes.
    """

    size: tuple[int, int, int]
    dtype: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Networks that take the same pictures, with their artifacts and their references by model."""

    pictures: Pictures
    artifacts: tuple[Artifact, ...]
    references: Mapping[str, Reference]

    @property
    def reference_images(self) -> int:
        """How many images the page judges an artifact on: fewer if the set is small or the images are large."""
        return min(reference_images(reference) for reference in self.references.values())

    def json(self) -> dict[str, Any]:
        """Return the group's entry in the catalogue; the references' arrays have files of their own (`reference_bytes`)."""
        height, width, channels = self.pictures.size
        count = self.reference_images
        return {
            **{name: getattr(self.pictures, name) for name in ("dtype", "low", "high", "labels")},
            **{"height": height, "width": width, "channels": channels},
            "first": first(self.artifacts).id,
            "references": {
                model: {"count": count, "labels": label_dtype(one).name, "classes": one.logits.shape[1]}
                for model, one in self.references.items()
            },
        }


def first(artifacts: Iterable[Artifact]) -> Artifact:
    """Return the artifact that a first visit loads: LiteRT before ONNX, int8 before others, then the smallest."""
    return min(artifacts, key=lambda a: (a.format != "tflite", a.scheme != "int8", a.compressed_bytes))


def groups(artifacts: Iterable[Artifact], references: Mapping[str, Reference]) -> tuple[Group, ...]:
    """Return the groups of artifacts, in the order of their first; raises DataError where sidecar and reference differ."""
    artifacts_of: dict[Pictures, list[Artifact]] = {}
    for artifact in artifacts:
        artifacts_of.setdefault(_pictures(artifact, references[artifact.model]), []).append(artifact)
    return tuple(
        Group(
            pictures=pictures,
            artifacts=tuple(members),
            references={model: references[model] for model in sorted({a.model for a in members})},
        )
        for pictures, members in artifacts_of.items()
    )


def reference_images(reference: Reference) -> int:
    """Return how many images of a reference the page may fetch."""
    one = reference.images[:1].nbytes
    return min(REFERENCE_IMAGES, max(LEAST_IMAGES, REFERENCE_BYTES // max(one, 1)), len(reference.images))


def label_dtype(reference: Reference) -> np.dtype:
    """Return the smallest unsigned integer that holds every class: uint8, uint16 or uint32."""
    return np.min_scalar_type(max(reference.logits.shape[1] - 1, int(reference.labels.max(initial=0))))


def reference_bytes(reference: Reference, count: int) -> bytes:
    """Return the first `count` images [N,H,W,C] of their dtype, labels [N] and float32 logits [N,K], little-endian."""
    part = slice(count)
    arrays = (reference.images, reference.labels.astype(label_dtype(reference)), reference.logits)
    return b"".join(a[part].astype(a.dtype.newbyteorder("<")).tobytes() for a in arrays)


def _pictures(artifact: Artifact, reference: Reference) -> Pictures:
    height, width, *rest = reference.images.shape[1:]
    size, classes = (height, width, *(rest or (1,))), reference.logits.shape[1]
    if (_size(artifact), math.prod(artifact.outputs[0].shape[1:])) != (size, classes):
        raise DataError(
            f"The sidecar of {artifact.id} says that it takes {list(artifact.inputs[0].shape)} in the order "
            f"{artifact.layout} and gives {list(artifact.outputs[0].shape)}; its reference holds images of "
            f"{'x'.join(map(str, size))} and {classes} classes. Make both again with: {suggested_commands.nox('export')}"
        )
    low, high = _span(reference.images, size[-1])
    labels = artifact.labels if len(artifact.labels) == classes else tuple(map(str, range(classes)))
    return Pictures(size=size, dtype=reference.images.dtype.name, low=low, high=high, labels=labels)


def _size(artifact: Artifact) -> tuple[int, ...]:
    """Return height, width and channels of an artifact's input."""
    _, *axes = artifact.inputs[0].shape
    if artifact.layout == "chw":
        return (*axes[1:], *axes[:1])
    return (*axes, 1) if artifact.layout == "hw" else tuple(axes)


def _span(images: np.ndarray, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the values of a picture's 0 and 255, per channel.

    For float images this is a guess: one of the usual spans if it contains all values, else the smallest and the largest
    value of each channel (right for images that were normalised by mean and deviation per channel).
    """
    if images.dtype == np.uint8:
        return (0.0,) * channels, (255.0,) * channels
    values = images.reshape(-1, channels)
    values = values[np.isfinite(values).all(1)]
    low, high = (values.min(0), values.max(0)) if len(values) else (np.zeros(channels), np.ones(channels))
    # 0..255 only where it is used: normalised values may all be small and positive
    for usual in USUAL_SPANS:
        if usual[0] <= low.min() and high.max() <= usual[1] and high.max() > usual[1] / 2:
            return (usual[0],) * channels, (usual[1],) * channels
    high = np.where(high > low, high, low + 1)
    return tuple(map(float, low)), tuple(map(float, high))
