"""The error of an artifact against its float source, layer by layer, on real images."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.explain import run
from export.artifact import Artifact
from models import files
from models.errors import DataError, Unsupported
from models.reference import Reference

IMAGES = 64
ENVIRONMENT = "export"  # which has every tool that shows the inside of a file
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

    The last row, `answer`, is what the runtime itself answers. `key` digests what they depend on, as a receipt's does.
    """

    artifact: str
    key: str
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
    from device_tests.measure.explain import source, taps
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
        key=run.key(artifact, ENVIRONMENT),
        images=len(images),
        tool=tool,
        errors=(*errors, error(ANSWER, logits, answers.logits[: len(images)])),
    )


def _layer_error(name: str, answer: np.ndarray, expected: np.ndarray) -> LayerError:
    if answer.min() >= 0:  # the file has fused the layer with the ReLU that follows
        expected = np.maximum(expected, 0)
    return error(name, answer, expected)


def path(results: Path, artifact: str) -> Path:
    """Return where the layers of an artifact lie."""
    return results / "layers" / f"{artifact}.json"


def as_json(found: Layers) -> dict[str, Any]:
    """Return the layers with the first bad one, for a file."""
    return {**asdict(found), "first_bad": found.first_bad}


def save(found: Layers, results: Path) -> None:
    """Write the layers whole."""
    files.write_json(path(results, found.artifact), as_json(found))


def current(results: Path, artifact: Artifact) -> Layers | None:
    """Return an artifact's layers, None where there are none that still hold; raises DataError for a broken file."""
    file = path(results, artifact.id)
    try:
        content = json.loads(file.read_text())
        facts = {name: content[name] for name in ("artifact", "key", "images", "tool")}
        known = Layers(**facts, errors=tuple(LayerError(**error) for error in content["errors"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        again = f"nox -s explain -- --all --layers {artifact.id}"
        msg = f"{file} holds no layers ({type(error).__name__}: {error}). Delete it and run: {again}"
        raise DataError(msg) from error
    return known if known.key == run.key(artifact, ENVIRONMENT) else None
