"""The error of an artifact against its float source, layer by layer, on real images."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.artifact import Artifact
from models.errors import Unsupported
from models.reference import Reference

IMAGES = 64
ANSWER = "answer"
BAD_COSINE = 0.99  # as LiteRT's accuracy debugger has it


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """How far a layer's outputs are from the source's: largest difference, cosine, and signal to noise in decibels.

    `sqnr_db` is None where nothing differs.
    """

    layer: str
    sqnr_db: float | None
    max_abs: float
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The errors of an artifact's layers in the order of execution, and the tool that gave the layers' outputs.

    The last row, `answer`, is what the runtime itself answers.
    """

    artifact: str
    images: int
    tool: str
    errors: tuple[LayerError, ...]

    @property
    def first_bad(self) -> str:
        """The first layer whose cosine is below BAD_COSINE, "" where there is none."""
        return next((e.layer for e in self.errors if e.cosine < BAD_COSINE), "")


def error(layer: str, answer: np.ndarray, expected: np.ndarray) -> LayerError:
    """Compare two arrays of one shape."""
    answer, expected = answer.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    noise, signal = float(((answer - expected) ** 2).sum()), float((expected**2).sum())
    norms = float(np.linalg.norm(answer) * np.linalg.norm(expected))
    return LayerError(
        layer=layer,
        sqnr_db=10 * math.log10(max(signal, sys.float_info.min) / noise) if noise else None,
        max_abs=float(np.abs(answer - expected).max()),
        cosine=float(answer @ expected) / norms if norms else float(noise == 0),
    )


def measure(artifact: Artifact, file: Path, answers: Reference) -> Layers:
    """Compare the artifact's layers with the source's on the reference's first images.

    Raises Unsupported where no tool shows the inside of such a file.
    """
    from device_tests.explain import source, taps
    from export.formats import FORMATS
    from export.judge import to_logits, to_native
    from models import data

    if artifact.format not in taps.TAPS:
        msg = taps.REFUSALS[artifact.format]
        raise Unsupported(msg)
    images = answers.images[:IMAGES]
    expected = source.activations(artifact.model, images)
    tool, tap = taps.TAPS[artifact.format]
    native = to_native(data.grey(images, source.ZOO[artifact.model].SPEC.input_shape), artifact.inputs[0])
    tapped = tap(artifact, file, native)
    errors = [
        _layer_error(name, answer, wanted) for (name, wanted), answer in zip(expected.items(), tapped, strict=True)
    ]
    logits = to_logits(FORMATS[artifact.format].run(file, native), artifact.outputs[0])
    return Layers(
        artifact=artifact.id,
        images=len(images),
        tool=tool,
        errors=(*errors, error(ANSWER, logits, answers.logits[: len(images)])),
    )


def _layer_error(name: str, answer: np.ndarray, expected: np.ndarray) -> LayerError:
    if answer.min() >= 0:  # the file has fused the layer with the ReLU that follows
        expected = np.maximum(expected, 0)
    return error(name, answer, expected)
