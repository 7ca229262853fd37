"""What of artifacts/ and results/ the page is told: which artifacts run in a browser, examples, reference images."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.browser_import import RUNTIMES
from device_tests.results import measurement as measurements
from export import artifact as artifacts
from export import matrix
from export.artifact import Artifact
from models import reference
from models.errors import DataError, UsageError
from models.reference import Reference

REASONS = {
    "eager": "The bare network needs PyTorch or TensorFlow itself, which are Python.",
    "torchscript": "TorchScript needs LibTorch, which has no build for browsers.",
    "torchscript_lite": "TorchScript's lite interpreter has no build for browsers.",
    "executorch": "ExecuTorch has no package for browsers.",
    "executorch_portable": "ExecuTorch has no package for browsers.",
    "savedmodel": "A SavedModel runs in TensorFlow; a browser would need another conversion, to TensorFlow.js.",
}
UNKNOWN = "No browser runtime is known that takes this format."
REFERENCE_IMAGES = 1_000
MOST_FLIPS = 12


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the site is made of: `entries` of the catalogue, the artifacts to copy and the references by model."""

    entries: tuple[dict[str, Any], ...]
    chosen: tuple[Artifact, ...]
    examples: tuple[dict[str, Any], ...]
    references: dict[str, Reference]

    @property
    def first(self) -> Artifact:
        """The artifact that a first visit loads: LiteRT before ONNX, int8 before others, then the smallest."""
        return min(self.chosen, key=lambda a: (a.format != "tflite", a.scheme != "int8", a.compressed_bytes))

    @property
    def reference_images(self) -> int:
        """How many images of its reference the page judges an artifact on: a small data set has fewer."""
        return min(REFERENCE_IMAGES, *(len(answers.images) for answers in self.references.values()))


def gather(artifacts_folder: Path, results_folder: Path, patterns: tuple[str, ...]) -> Content:
    """Return the content of every artifact that a browser can run and a glob matches (all for none).

    Raises DataError where there are no artifacts or one does not match its sidecar, UsageError for a glob that matches
    nothing that a browser can run.
    """
    every = artifacts.load(artifacts_folder)
    if not every:
        msg = f"There are no artifacts in {artifacts_folder}. Make them with: nox -s export"
        raise DataError(msg)
    wanted = {recipe.id for recipe in matrix.select(patterns)}
    chosen = tuple(a for a in every if a.id in wanted and a.format in RUNTIMES and a.outcome == "ok")
    if not chosen:
        msg = (f"No exported artifact that matches {' or '.join(patterns) or 'anything'} runs in a browser: "
               f"only {', '.join(RUNTIMES)} do. See: nox -s export -- --list")  # fmt: skip
        raise UsageError(msg)
    for one in chosen:
        artifacts.check(one, artifacts_folder)
    desktop = {one.id: _desktop(one, results_folder) for one in chosen}
    refused = tuple(a for a in every if a.format not in RUNTIMES or a.outcome != "ok")
    references = {
        model: reference.load(reference.path(artifacts_folder, model)) for model in sorted({a.model for a in chosen})
    }
    return Content(
        entries=(*(_entry(a, desktop[a.id]) for a in chosen), *map(_refusal, refused)),
        chosen=chosen,
        examples=examples(references, desktop.values()),
        references=references,
    )


def _desktop(artifact: Artifact, results_folder: Path) -> measurements.Measurement | None:
    """Return the desktop's result of this very file, where there is one."""
    id = f"{artifact.id}@{RUNTIMES[artifact.format][1]}@desktop"
    row = measurements.read(measurements.path(results_folder, id))
    return row if row and row.outcome == "ok" and row.artifact_sha256 == artifact.sha256 else None


def _entry(artifact: Artifact, desktop: measurements.Measurement | None) -> dict[str, Any]:
    entry = _names(artifact) | {
        "runtime": RUNTIMES[artifact.format][0],
        "size_bytes": artifact.size_bytes,
        "checkpoint": artifact.checkpoint_sha256[:8],
    }
    if desktop and desktop.latencies_ns and desktop.total:
        entry["desktop"] = {
            "runtime": desktop.runtime,
            "cpu": desktop.environment.cpu or "a processor that was not recorded",
            "p50_ns": desktop.p50_ns,
            "p90_ns": desktop.p90_ns,
            "correct": desktop.correct,
            "agree": desktop.agree,
            "total": desktop.total,
        }
    return entry


def _refusal(artifact: Artifact) -> dict[str, Any]:
    failed = f"{artifact.outcome}: {artifact.reason}" if artifact.outcome != "ok" else ""
    return _names(artifact) | {"runtime": None, "reason": failed or REASONS.get(artifact.format, UNKNOWN)}


def _names(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in ("id", "model", "framework", "format", "scheme")}


def examples(
    references: dict[str, Reference], desktop: Iterable[measurements.Measurement | None]
) -> tuple[dict[str, Any], ...]:
    """Return images to tap: the first of each label, then those that the most artifacts answer unlike their source."""
    answers = next(iter(references.values()))
    alike = {name for name, other in references.items() if other.dataset_sha256 == answers.dataset_sha256}
    flips: dict[int, list[dict[str, Any]]] = {}
    for row in desktop:
        if row and row.artifact.split("-")[0] in alike:
            for flip in (f for f in row.flips if f.index < len(answers.images)):
                shown = {"artifact": row.artifact, "answer": flip.ours, "source": flip.theirs}
                flips.setdefault(flip.index, []).append(shown)
    firsts = [int(np.argmax(answers.labels == label)) for label in np.unique(answers.labels)]
    hardest = sorted(flips, key=lambda index: (-len(flips[index]), index))[:MOST_FLIPS]
    return tuple(
        {
            "index": index,
            "label": int(answers.labels[index]),
            "image_u8": base64.b64encode(answers.images[index].tobytes()).decode(),
            "flips": flips.get(index, []),
        }
        for index in dict.fromkeys((*firsts, *hardest))
    )


def reference_bytes(answers: Reference, count: int) -> bytes:
    """Return the first `count` images as the page reads them: uint8 [N,784], uint8 [N], float32 [N,10], little-endian."""
    first = slice(count)
    return b"".join(
        (
            answers.images[first].tobytes(),
            answers.labels[first].tobytes(),
            answers.logits[first].astype("<f4").tobytes(),
        )
    )
