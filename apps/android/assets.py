"""What the app carries beside its code: artifacts with their sidecars, evaluation images, and what the build is."""

import json
from collections.abc import Mapping
from pathlib import Path

from apps.web.groups import reference_images
from device_tests.measure.import_results import ENGINES
from device_tests.transport.android import evaluation
from export import artifact as artifacts
from export import matrix
from export.artifact import Artifact
from models import reference
from models.common.errors import DataError, UsageError

# What an engine answers wrongly in silence on arm64, by its version and the scheme: seen with `--verify`, and under qemu.
WRONG = {
    ("litert", "2.16.1"): {
        "dynamic_int8": "garbage (logits off by a million)",
        "int4": "garbage (logits off by hundreds)",
        "qat_int8": "other logits (one of four golden vectors, by 0.26)",
    }
}


def choose(folder: Path, patterns: tuple[str, ...], engines: tuple[str, ...]) -> tuple[Artifact, ...]:
    """Return the artifacts that a glob names and one of the engines runs; none where no glob is given.

    Raises UsageError for a glob that names nothing of that kind, DataError where there are no artifacts.
    """
    if not patterns:
        return ()
    every = artifacts.load(folder) if folder.is_dir() else ()
    if not every:
        raise DataError(f"There are no artifacts in {folder}. Make them with: nox -s export")
    selected = {recipe.id for recipe in matrix.select(patterns)}
    chosen = tuple(a for a in every if a.id in selected and ENGINES.get(a.format) in engines and a.outcome == "ok")
    if not chosen:
        able = ", ".join(name for name, engine in ENGINES.items() if engine in engines)
        msg = (f"No exported artifact that matches {' or '.join(patterns)} runs in this app, whose engines take {able}. "
               "See: nox -s export -- --list")  # fmt: skip
        raise UsageError(msg)
    return chosen


def warnings(chosen: tuple[Artifact, ...], versions: Mapping[str, str]) -> list[str]:
    """Return a sentence for each artifact that its engine, of these versions by id, is known to answer wrongly."""
    lines = []
    for artifact in chosen:
        engine = ENGINES[artifact.format]
        if what := WRONG.get((engine, versions.get(engine, "")), {}).get(artifact.scheme):
            lines.append(
                f"{artifact.id}: {engine} {versions[engine]} answers it with {what} on arm64 phones, without an error; the app's "
                "Check screen shows it. Take another version of the engine (--aar), or leave the artifact out (--only)"
            )
    return lines


def pack(folder: Path, chosen: tuple[Artifact, ...]) -> dict[str, bytes]:
    """Return the artifacts' files, and of each model the first evaluation images, by their names in the assets.

    Raises DataError for damaged ones.
    """
    files: dict[str, bytes] = {}
    for artifact in chosen:
        files[f"artifacts/{artifact.file}"] = artifacts.check(artifact, folder).read_bytes()
        files[f"artifacts/{artifact.id}.json"] = artifacts.sidecar_path(folder, artifact.id).read_bytes()
    for model in sorted({artifact.model for artifact in chosen}):
        stored = reference.load(reference.path(folder, model))
        facts, content = evaluation.described(stored, reference_images(stored))
        files[f"evaluation/{model}.json"] = json.dumps(facts).encode()
        files[f"evaluation/{model}.bin"] = content
    return files
