"""Imports the file that the benchmark of the web demo or of the Android app saved; its logits are judged here."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, structs

from device_tests import current_results
from device_tests.cells import Cell
from device_tests.results import judging, parity
from device_tests.results import measurement as measurements
from device_tests.results.measurement import Measurement
from export import artifact as artifacts
from export import matrix
from export.matrix import Recipe
from models import reference
from models.common import provenance, records
from models.common.errors import DataError, did_you_mean
from models.common.records import Count, Positive, Record, Sha256
from models.reference import Reference

# by format: the runtime in a browser, and the desktop's runtime for the same files
RUNTIMES = {
    name: (runtime, parity.IN_BROWSERS[runtime])
    for name, runtime in {"tflite": "litertjs", "onnx": "onnxruntime_web", "ort": "onnxruntime_web"}.items()
}
WEBGPU = {"tflite": "litertjs_webgpu"}  # the same library on the graphics processor
# by format: the engine in the app, by the name of the desktop's runtime for the same files
ENGINES = {"tflite": "litert", "onnx": "onnxruntime", "ort": "onnxruntime"}
ENGINES |= dict.fromkeys(("executorch", "executorch_portable"), "executorch")

APP = r"app:[a-z0-9][a-z0-9._-]{0,39}(\+(t2|t4|xnnpack|no_xnnpack|nnapi))*"  # threads and accelerator follow the name
DEVICE = re.compile(rf"browser:[a-z0-9][a-z0-9._-]{{0,39}}|{APP}")

WHAT, REMEDY = "file that the web demo or the Android app saved for these artifacts", "Nothing was added."


class Saved(Record, kw_only=True, rename={"packed_logits": "answers"}):
    """One result as the page saves it; the fields after `environment` are set where the artifact ran."""

    artifact: str
    runtime: str
    device: Annotated[str, Meta(pattern=f"^({DEVICE.pattern})\\Z")]
    outcome: Literal["ok", "load_failed", "run_failed"]
    reason: str
    notes: tuple[str, ...]
    environment: dict[str, Any]
    threads: Positive = 1
    artifact_sha256: Sha256 = ""
    total: Positive | None = None
    correct: Count | None = None
    agree: Count | None = None
    load_ns: Count | None = None
    first_ns: Count | None = None
    latencies_ns: tuple[Positive, ...] = ()
    packed_logits: str = ""

    def __post_init__(self) -> None:
        ran = ("artifact_sha256", "total", "correct", "agree", "load_ns", "first_ns", "latencies_ns",
               "packed_logits")  # fmt: skip
        missing = [name for name in ran if getattr(self, name) in (None, "", ())]
        if self.outcome == "ok" and missing:
            keys = dict(zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True))
            raise ValueError(f"a result that ran has no {keys[missing[0]]}")


def read(file: Path, artifacts_folder: Path) -> tuple[tuple[Measurement, np.ndarray | None], ...]:
    """Return a saved file's results, each with its logits [N,K], None where it did not run.

    Every result is judged here by its logits. Raises DataError where the file is of another kind, a result is of
    another artifact than the one here, or its counts contradict its logits: then the whole file is refused.
    """
    rows = records.read(file, tuple[Saved, ...], what=WHAT, remedy=REMEDY)
    if rows is None:
        msg = f"{file} is not there. Save it in the web demo (nox -s 'apps(web)' -- --serve), or share it in the Android app."
        raise DataError(msg)
    if not rows:
        raise _refusal(file, "", "it holds no result")
    references: dict[str, Reference] = {}
    results = {}
    for number, row in enumerate(rows, start=1):
        name = f"result {number} "
        try:
            measurement, logits = _result(row, artifacts_folder, references)
        except _Wrong as wrong:
            raise _refusal(file, name, str(wrong)) from wrong
        if measurement.id in results:
            raise _refusal(file, name, f"{measurement.id} is in it twice")
        results[measurement.id] = (measurement, logits)
    return tuple(results.values())


class _Wrong(Exception):
    """What is wrong with one result."""


def _refusal(file: Path, where: str, why: str) -> DataError:
    return DataError(f"{file} is no {WHAT}: {where}{why}. {REMEDY}")


def _inputs(row: Saved, recipe: Recipe, artifact: artifacts.Artifact, reference_set: Reference) -> provenance.Inputs:
    """Return the inputs of a result of the app; one of a browser depends on its artifact alone and has none."""
    if not row.device.startswith("app:"):
        return {}
    pins = tuple(str(row.environment.get(name, "")) for name in ("fingerprint", "build"))
    cell = Cell(recipe=recipe, runtime=row.runtime, device=row.device)
    return current_results.of_cell(cell, artifact, reference_set.sha256, pins)


def _result(row: Saved, folder: Path, references: dict[str, Reference]) -> tuple[Measurement, np.ndarray | None]:
    """Return a saved result with its logits [N,K], None where it did not run; raises _Wrong where it cannot be."""
    recipe = _recipe(row)
    artifact = artifacts.read(artifacts.sidecar_path(folder, row.artifact))
    facts = _facts(row, artifact)
    if row.outcome != "ok":
        # a page that could not load the file reports no digest; with this one the row gets stale with the file
        return Measurement(**facts, artifact_sha256=artifact.sha256), None
    if row.artifact_sha256 != artifact.sha256:
        raise _Wrong(f"is of another file than the {row.artifact} that is here: it was exported again since")
    if recipe.model not in references:
        references[recipe.model] = reference.load(reference.path(folder, recipe.model))
    reference_set = references[recipe.model]
    if not artifacts.is_of(artifact, reference_set):
        raise _Wrong(f"cannot be judged: {row.artifact} is of another checkpoint or data set than its reference")
    logits, judged = _judge(row, reference_set)
    emulated = facts["environment"].extra.get("kind") == "emulator"
    facts |= {"artifact_sha256": artifact.sha256, "quick": judged.total < len(reference_set.images),
              "threads": row.threads, "inputs": _inputs(row, recipe, artifact, reference_set),
              "latencies_ns": () if emulated else row.latencies_ns, "load_ns": None if emulated else row.load_ns,
              "first_ns": None if emulated else row.first_ns}  # fmt: skip
    measurement = measurements.from_reply(facts, structs.asdict(judged))
    if why := measurement.impossible:
        raise _Wrong(f"has figures that cannot be: {why}")
    return measurement, logits


def _recipe(row: Saved) -> Recipe:
    """Return the recipe of a result's artifact; raises _Wrong for one that its runtime does not take."""
    recipes = {recipe.id: recipe for recipe in matrix.recipes()}
    if row.artifact not in recipes:
        raise _Wrong(f"is of {row.artifact!r}, which is no artifact. {did_you_mean(row.artifact, recipes)[:300]}")
    name = recipes[row.artifact].format
    in_browsers = (RUNTIMES.get(name, ("",))[0], WEBGPU.get(name))
    if row.runtime not in ((ENGINES.get(name),) if row.device.startswith("app:") else in_browsers):
        raise _Wrong(f"says that {row.runtime!r} ran {row.artifact}, which it does not")
    return recipes[row.artifact]


def _facts(row: Saved, artifact: artifacts.Artifact) -> dict[str, Any]:
    try:
        environment = measurements.environment(row.environment)
    except ValueError as error:
        raise _Wrong(f"has an environment that cannot be: {error}") from error
    notes = row.notes
    if environment.extra.get("kind") == "emulator":
        notes = (*notes, "times of an emulator say nothing of a phone: none was taken over")
    own = {name: getattr(row, name) for name in ("artifact", "runtime", "device", "outcome", "reason")}
    return {**own, **measurements.of_artifact(artifact), "notes": notes, "environment": environment}


def _judge(row: Saved, reference_set: Reference) -> tuple[np.ndarray, judging.Judgement]:
    """Return a result's logits [N,K] and what they are worth; raises _Wrong where the result says otherwise."""
    try:
        logits = judging.unpack(row.packed_logits, reference_set.logits.shape[1], len(reference_set.images))
    except ValueError as error:
        raise _Wrong(f"makes no sense: {error}") from error
    judged = judging.judge(logits, reference_set)
    for name in ("total", "correct", "agree"):
        own, right = getattr(row, name), getattr(judged, name)
        if own != right:
            raise _Wrong(f"says {name} = {own}, its logits say {right}: was it changed by hand?")
    return logits, judged
