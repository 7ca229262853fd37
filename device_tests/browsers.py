"""What browsers measured: the file that the web demo's benchmark saves, judged here and kept beside the other results."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import click
import numpy as np

from device_tests import measurement as measurements
from device_tests import parity, worker
from device_tests.measurement import Measurement
from device_tests.runner import is_of
from export import artifact as artifacts
from export import matrix
from models import console, reference
from models.console import out
from models.errors import DataError, did_you_mean
from models.reference import Reference

# by format: the browser's runtime, and the desktop's that runs the same files
RUNTIMES = {
    name: (runtime, parity.IN_BROWSERS[runtime])
    for name, runtime in {"tflite": "litertjs", "onnx": "onnxruntime_web", "ort": "onnxruntime_web"}.items()
}
WEBGPU = {"tflite": "litertjs_webgpu"}  # the same on the graphics processor
DEVICE = re.compile(r"browser:[a-z0-9][a-z0-9._-]{0,39}")
OUTCOMES = ("ok", "load_failed")
CLASSES = 10

# what a result holds, and what it holds on top where the artifact ran
FIELDS = {
    "artifact": str,
    "runtime": str,
    "device": str,
    "outcome": str,
    "reason": str,
    "notes": list,
    "environment": dict,
}
RAN = {"artifact_sha256": str, "total": int, "correct": int, "agree": int, "load_ns": int, "first_ns": int,
       "latencies_ns": list, "answers": str}  # fmt: skip
TIMES = ("load_ns", "first_ns")

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--artifacts", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
@click.option("--results", default="results", show_default=True, type=_FOLDER, help="Where results are.")
def add(file: Path, artifacts: Path, results: Path) -> None:
    """Add what the web demo's benchmark saved, as a device of the matrix; `report` shows it."""
    console.validated()
    found = read(file, artifacts)
    for measurement, answers in found:
        measurements.save(measurement, results)
        parity.save(results, measurement.id, answers)
        said = f"top-1 {measurement.top1:.2%} of {measurement.total:,}" if measurement.total else measurement.reason
        out.print(f"{measurement.outcome} {measurement.id}: {said}", markup=False, soft_wrap=True)
    out.print(f"{len(found)} results added to {results}. See them with: nox -s report", markup=False, soft_wrap=True)


def read(file: Path, artifacts_folder: Path) -> tuple[tuple[Measurement, str | None], ...]:
    """Return a saved file's results, judged by their own logits, each with these as a worker packs them.

    Raises DataError for a file that is none, for a result of another artifact than the one that is here, and for
    counts that its logits do not bear out: then nothing of the file counts.
    """
    try:
        rows = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        msg = f"{file} is not there. Save it in the web demo: nox -s 'apps(web)' -- --serve"
        raise DataError(msg) from error
    except (OSError, ValueError) as error:
        raise _refusal(file, "", f"it cannot be read as JSON ({error})") from error
    if not isinstance(rows, list) or not rows:
        raise _refusal(file, "", "it is no list of results")
    references: dict[str, Reference] = {}
    found = {}
    for number, row in enumerate(rows, start=1):
        name = f"result {number} "
        try:
            measurement, answers = _result(row, artifacts_folder, references)
        except _Wrong as wrong:
            raise _refusal(file, name, str(wrong)) from wrong
        if measurement.id in found:
            raise _refusal(file, name, f"{measurement.id} is in it twice")
        found[measurement.id] = (measurement, answers)
    return tuple(found.values())


class _Wrong(Exception):
    """What is wrong with one result."""


def _refusal(file: Path, where: str, why: str) -> DataError:
    return DataError(f"{file} is nothing that the web demo saved for these artifacts: {where}{why}. Nothing was added.")


def _result(row: Any, folder: Path, references: dict[str, Reference]) -> tuple[Measurement, str | None]:
    _require_fields(row, FIELDS)
    id, runtime = row["artifact"], row["runtime"]
    known = {recipe.id: recipe for recipe in matrix.recipes()}
    if id not in known:
        raise _Wrong(f"is of {id!r}, which is no artifact. {did_you_mean(id, known)[:300]}")
    if runtime not in (RUNTIMES.get(known[id].format, ("",))[0], WEBGPU.get(known[id].format)):
        raise _Wrong(f"says that {runtime!r} ran {id}, which it does not")
    if not DEVICE.fullmatch(row["device"]):
        raise _Wrong(f"is of the device {row['device']!r}, which is no browser:NAME in small letters")
    if row["outcome"] not in OUTCOMES:
        raise _Wrong(f"has the outcome {row['outcome']!r}, not one of {', '.join(OUTCOMES)}")
    if not all(isinstance(note, str) for note in row["notes"]):
        raise _Wrong("has notes that are no text")
    artifact = artifacts.read(artifacts.sidecar_path(folder, id))
    facts: dict[str, Any] = {
        name: row[name] for name in ("artifact", "runtime", "device", "outcome", "reason", "environment")
    }
    facts |= {"notes": tuple(row["notes"]), "checkpoint_sha256": artifact.checkpoint_sha256, "dataset": artifact.dataset,
              "size_bytes": artifact.size_bytes, "compressed_bytes": artifact.compressed_bytes}  # fmt: skip
    if row["outcome"] != "ok":
        # a page that could not load it tells no digest; the file that is here is the best guess, and ages the row
        return Measurement(**facts, artifact_sha256=artifact.sha256), None

    _require_fields(row, RAN)
    if row["artifact_sha256"] != artifact.sha256:
        raise _Wrong(f"is of another file than the {id} that is here: it was exported again since")
    samples = row["latencies_ns"]
    if not samples or not all(type(value) is int and value > 0 for value in samples):
        raise _Wrong("has latencies that are no nanoseconds")
    if known[id].model not in references:
        references[known[id].model] = reference.load(reference.path(folder, known[id].model))
    answers = references[known[id].model]
    if not is_of(artifact, answers):
        raise _Wrong(f"cannot be judged: {id} is of another checkpoint or data set than its reference")
    logits = _logits(row["answers"], len(answers.images))
    count = len(logits)
    judged: dict[str, Any] = {"outcome": "ok", "reason": ""}
    worker.judge(logits, answers.labels[:count], answers.logits[:count], judged)
    for name in ("total", "correct", "agree"):
        if judged[name] != row[name]:
            raise _Wrong(f"says {name} = {row[name]}, its logits say {judged[name]}: was it changed by hand?")
    judged["flips"] = tuple(judged["flips"])
    times = {name: row[name] for name in TIMES}
    facts |= {"artifact_sha256": artifact.sha256, "quick": count < len(answers.images), "threads": 1,
              "latencies_ns": tuple(samples), **times}  # fmt: skip
    return Measurement(**(facts | judged)), row["answers"]


def _require_fields(row: Any, fields: dict[str, type]) -> None:
    if not isinstance(row, dict):
        raise _Wrong("is no object")
    for name, kind in fields.items():
        if type(row.get(name)) is not kind:
            raise _Wrong(f"has no {name}" if name not in row else f"has a {name} that is no {kind.__name__}")


def _logits(packed: str, most: int) -> np.ndarray:
    """Return the logits [N,10] that a worker or the page packed, N at most `most`."""
    size = CLASSES * np.dtype("<f4").itemsize
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(base64.b64decode(packed, validate=True), most * size + 1)  # never all of a bomb
    except (ValueError, zlib.error) as error:  # text that is no base64 raises one or the other ValueError
        raise _Wrong(f"has answers that cannot be unpacked ({error})") from error
    if not unpacking.eof or not content or len(content) % size or len(content) > most * size:
        raise _Wrong(f"has answers that are no logits of 1 to {most:,} images")
    return np.frombuffer(content, "<f4").reshape(-1, CLASSES)
