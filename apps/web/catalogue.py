"""The catalogue of the page, from artifacts/ and results/: artifacts that a browser can run, examples, reference images."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.web.groups import Group, groups
from device_tests.current_results import held
from device_tests.measure.import_results import RUNTIMES
from device_tests.results import measurement as measurements
from export import artifact as artifacts
from export import matrix
from export.artifact import Artifact
from models import reference, suggested_commands
from models.common.errors import DataError, UsageError
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
MOST_LABELS, MOST_FLIPS = 24, 12  # of the examples to tap, one of each label and those that are flipped
EXAMPLE_BYTES = 1_500_000  # of all their pixels: the page fetches them with its first visit
LEAST_EXAMPLES = 6


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the site is made of: `entries` of the catalogue, the artifacts to copy, and their groups with examples each."""

    entries: tuple[dict[str, Any], ...]
    chosen: tuple[Artifact, ...]
    groups: tuple[Group, ...]
    examples: tuple[tuple[dict[str, Any], ...], ...]


def gather(artifacts_folder: Path, results_folder: Path, patterns: tuple[str, ...]) -> Content:
    """Return the content of every artifact that a browser can run and a glob matches (all for none).

    Raises DataError where there are no artifacts or one does not match its sidecar, UsageError for a glob that matches
    nothing that a browser can run.
    """
    every = artifacts.load(artifacts_folder)
    if not every:
        msg = f"There are no artifacts in {artifacts_folder}. Make them with: {suggested_commands.nox('export')}"
        raise DataError(msg)
    selected_ids = {recipe.id for recipe in matrix.select(patterns)}
    chosen = tuple(a for a in every if a.id in selected_ids and _runs(a))
    if not chosen:
        msg = (f"No exported artifact that matches {' or '.join(patterns) or 'anything'} runs in a browser: "
               f"only {', '.join(RUNTIMES)} do. See: {suggested_commands.nox('export', '--list')}")  # fmt: skip
        raise UsageError(msg)
    for one in chosen:
        artifacts.check(one, artifacts_folder)
    desktop = {one.id: _desktop(one, results_folder) for one in chosen}
    refused = tuple(a for a in every if not _runs(a))
    models = sorted({artifact.model for artifact in chosen})
    references = {model: reference.load(reference.path(artifacts_folder, model)) for model in models}
    grouped = groups(chosen, references)
    group_of = {a.id: number for number, group in enumerate(grouped) for a in group.artifacts}
    return Content(
        entries=(*(_entry(a, desktop[a.id], group_of[a.id]) for a in chosen), *map(_refusal, refused)),
        chosen=chosen,
        groups=grouped,
        examples=tuple(examples(group.references, desktop.values(), len(grouped)) for group in grouped),
    )


def _runs(artifact: Artifact) -> bool:
    """Tell whether a browser can run an artifact; there it gets one image at a time."""
    return artifact.format in RUNTIMES and artifact.outcome == "ok" and artifact.batch in (1, -1)


def _desktop(artifact: Artifact, results_folder: Path) -> measurements.Measurement | None:
    """Return the desktop's result of this very file, where there is one."""
    id = f"{artifact.id}@{RUNTIMES[artifact.format][1]}@desktop"
    row = held(measurements.read, measurements.path(results_folder, id))
    return row if row and row.outcome == "ok" and row.artifact_sha256 == artifact.sha256 else None


def _entry(artifact: Artifact, desktop: measurements.Measurement | None, group: int) -> dict[str, Any]:
    entry = _names(artifact) | {
        "runtime": RUNTIMES[artifact.format][0],
        "group": group,
        "size_bytes": artifact.size_bytes,
        "checkpoint": artifact.checkpoint_sha256[:8],
    }
    if desktop and desktop.latencies_ns and desktop.total:
        figures = ("runtime", "p50_ns", "p90_ns", "correct", "agree", "total")
        entry["desktop"] = {name: getattr(desktop, name) for name in figures}
        entry["desktop"]["cpu"] = desktop.environment.cpu or "a processor that was not recorded"
    return entry


def _refusal(artifact: Artifact) -> dict[str, Any]:
    failed = f"{artifact.outcome}: {artifact.reason}" if artifact.outcome != "ok" else ""
    several = f"It takes {artifact.batch} images at once; the page shows one." if artifact.batch > 1 else ""
    return _names(artifact) | {"runtime": None, "reason": failed or REASONS.get(artifact.format) or several or UNKNOWN}


def _names(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in ("id", "model", "framework", "format", "scheme")}


def examples(
    references: Mapping[str, Reference], desktop: Iterable[measurements.Measurement | None], shares: int = 1
) -> tuple[dict[str, Any], ...]:
    """Return images to tap: the first of each label, then those whose prediction the most artifacts changed.

    There are fewer if labels are many or images are large: `shares` lists of examples share EXAMPLE_BYTES.
    """
    evaluation = next(iter(references.values()))
    same_dataset = {name for name, other in references.items() if other.dataset_sha256 == evaluation.dataset_sha256}
    flips: dict[int, list[dict[str, Any]]] = {}
    for row in desktop:
        if row and row.recipe.model in same_dataset:
            for flip in (f for f in row.flips if f.index < len(evaluation.images)):
                shown = {"artifact": row.artifact, "answer": flip.ours, "source": flip.theirs}
                flips.setdefault(flip.index, []).append(shown)
    most = max(LEAST_EXAMPLES, EXAMPLE_BYTES // shares // max(evaluation.images[:1].nbytes, 1))
    labels = np.unique(evaluation.labels)
    spread = np.linspace(0, len(labels) - 1, min(MOST_LABELS, most, len(labels)))  # from the first to the last of them
    labels = labels[np.unique(spread.round().astype(int))]
    firsts = [int(np.argmax(evaluation.labels == label)) for label in labels]
    hardest = sorted(flips, key=lambda index: (-len(flips[index]), index))[:MOST_FLIPS]
    return tuple(
        {"index": i, "label": int(evaluation.labels[i]), **pixels(evaluation.images[i]), "flips": flips.get(i, [])}
        for i in list(dict.fromkeys((*firsts, *hardest)))[:most]
    )


def pixels(image: np.ndarray) -> dict[str, str]:
    """Return an image as sidecars hold it: bytes in `image_u8`, or little-endian floats in `image_f32`, in base64."""
    name = "image_u8" if image.dtype == np.uint8 else "image_f32"
    return {name: base64.b64encode(image.astype(image.dtype.newbyteorder("<")).tobytes()).decode()}
