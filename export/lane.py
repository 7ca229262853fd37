"""A lane: one process that makes recipes, family by family, so that heavy imports are paid once and a crash harms nobody.

`python -m export.lane` reads a unit of work from each line of stdin (export/lanes.py) and writes one line of JSON per
event to stdout; whatever the libraries print goes into the log file of the unit's model.
"""

from __future__ import annotations

import base64
import gc
import gzip
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from export import artifact as artifacts
from export import elsewhere, judge, phases, references
from export.artifact import Artifact, Dataset, Golden
from export.contract import Contents, Tensor
from export.formats import FORMATS
from export.recipe import Recipe
from export.schemes import SCHEMES, Scheme, described, supported
from export.source import Source
from models import files, reference
from models import profile as profiles
from models.environments import ROOT
from models.errors import DataError, EdgewiseError, StorageError, Unsupported
from models.frameworks import FRAMEWORKS
from models.own.settings import DYNAMIC
from models.reference import Reference

PARITY_IMAGES = 64
TOGETHER = 17  # images that a file for any batch is tried with: some libraries make a special case of up to 16
GOLDEN_FIRST, GOLDEN_HARDEST = 3, 1
# Frameworks make millions of small objects that live as long as the lane: to look through them after every 700 new ones,
# as Python does, took a tenth of an export.
GARBAGE = 200_000, 20, 20


def main() -> None:
    # Libraries print what they like to fd 1; only this lane knows where the real one went. What it starts reads nothing.
    events = os.fdopen(os.dup(1), "w", buffering=1)
    work = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    gc.set_threshold(*GARBAGE)
    phases.watch_imports()

    def emit(**event: Any) -> None:
        print(json.dumps(event), file=events)

    for line in work:
        phases.begin()
        unit = json.loads(line)
        log = os.open(unit["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for printed in (1, 2):
            os.dup2(log, printed)
        os.close(log)
        work_off(unit, emit)


def work_off(unit: dict[str, Any], emit: Callable[..., None]) -> None:
    """Make the recipes of a unit, and tell of each."""
    folder = Path(unit["folder"])
    emit(event="begins", id=f"{unit['model']}.reference")
    try:
        with phases.phase(phases.LOAD):
            source = _opened(unit["model"], unit["dataset"])
            if not unit["force"]:  # else it is fine-tuned anew
                source.inputs = unit["reference"]["inputs"]
            answers = _prepared(source, folder, unit)
        emit(event="prepared", spent=phases.taken())
        for wanted in unit["recipes"]:
            recipe = Recipe(**wanted["recipe"])
            emit(event="begins", id=recipe.id)
            save(make(recipe, source, answers, folder, wanted["key"]), folder)
            emit(event="ended", id=recipe.id, spent=phases.taken())
        emit(event="done")
    except EdgewiseError as error:  # of the whole model, or of the folder: a recipe's own errors are its outcome
        emit(event="broken", kind=type(error).__name__, reason=str(error))


@lru_cache(maxsize=2)  # a lane changes to and fro between models, and what a source holds may be large
def _opened(model: str, dataset: str | None) -> Source:
    return Source(model, dataset)


def _prepared(source: Source, folder: Path, job: dict[str, Any]) -> Reference:
    """Return the model's reference, with the network loaded; raises DataError where the checkpoint is another by now."""
    if source.checkpoint_sha256 != job["checkpoint_sha256"]:
        msg = f"The checkpoint of {source.model} was replaced when its export had begun. Run this again once training ends."
        raise DataError(msg)
    # before any tracing: Keras would put the weights into the trace and leave the network untrained
    _ = source.labels  # the network, its shapes and its classes: what cannot be deployed is said once, for all recipes
    path, wanted = reference.path(folder, source.model), job["reference"]
    if not wanted["force"]:
        try:
            there = reference.load(path)
            if there.is_current(wanted["key"]):
                return there
        except DataError as error:
            print(f"{error} Making it again.", file=sys.stderr)
    made = references.kept_or_made(source, key=wanted["key"], inputs=wanted["inputs"], anew=wanted["force"])
    reference.save(made, path)
    return made


def save(made: Artifact, folder: Path) -> None:
    """Write the sidecar; what cannot be written as one is a failure of this recipe. Raises StorageError."""
    try:
        artifacts.save(made, folder)
    except StorageError:
        raise
    except Exception as error:
        traceback.print_exc()
        recipe = Recipe(model=made.model, format=made.format, scheme=made.scheme)
        files.remove(folder / f"{made.id}{recipe.suffix}")
        names = ("id", "model", "framework", "format", "scheme", "key")
        failed = Artifact(**{name: getattr(made, name) for name in names}, **_failure(error), seconds=made.seconds)
        artifacts.save(failed, folder)


def make(recipe: Recipe, source: Source, answers: Reference, folder: Path, key: str) -> Artifact:
    """Convert, inspect and judge one recipe; whatever goes wrong is the outcome of this recipe alone."""
    started = time.perf_counter()
    row = {"id": recipe.id, "framework": recipe.framework, "key": key, **vars(recipe)}
    target = folder / f"{recipe.id}{recipe.suffix}"
    try:
        facts = _convert(recipe, source, answers, target)
    except Unsupported as error:
        facts = {"outcome": "unsupported", "reason": str(error)}
    except (Exception, SystemExit) as error:  # some command line tools end the process that calls them
        traceback.print_exc()
        facts = _failure(error)
    if "file" not in facts:
        files.remove(target)  # an artifact of an earlier export would contradict the new sidecar
    return Artifact(**row, **facts, seconds=round(time.perf_counter() - started, 2))


def _convert(recipe: Recipe, source: Source, answers: Reference, target: Path) -> dict[str, Any]:
    format_module, scheme = FORMATS[recipe.format], SCHEMES[recipe.scheme]
    with phases.phase(phases.LOAD):
        profile = source.memo("profile", lambda: profile_of(source))
    with files.whole(target) as temporary:
        with _toolchains_words(), phases.phase(phases.CONVERT):
            known = format_module.options(source.framework, scheme.base) if hasattr(format_module, "options") else ()
            supported(scheme.options, known, f"{scheme.base} of {recipe.format} from {source.framework}")
            if scheme.options.batch not in (None, 1) and not source.any_batch:
                raise Unsupported("the network itself takes one image at a time: export it for any batch")
            format_module.convert(source.with_options(scheme.options), scheme.base, temporary)
        with phases.phase(phases.INSPECT):
            contents = completed(format_module.inspect(temporary), source)
            distinct = source.memo("distinct", lambda: distinct_weights(source))
        judge.judge_weights(contents, scheme, min(profile.weights, distinct))
        if not getattr(format_module, "as_given", False):
            judge.judge_size(files.size_bytes(temporary), contents, scheme, profile.parameters, distinct)

        hardest = np.argsort(answers.margins, kind="stable")[:GOLDEN_HARDEST]
        parity = min(PARITY_IMAGES, len(answers.images))
        index = np.concatenate([np.arange(parity), hardest])
        batch = contents.inputs[0].shape[0]
        if scheme.options.batch not in (None, DYNAMIC if batch == -1 else batch):
            made_for = {-1: "any number of images", 1: "one image"}.get(batch, f"{batch} images")
            raise Unsupported(f"{recipe.format} makes files for {made_for} only")
        try:
            logits = _answers(format_module, temporary, source.input(answers.images[index]), contents, abs(batch))
        except (judge.Defect, EdgewiseError, OSError, MemoryError, elsewhere.Failed):
            raise
        except Exception as error:  # runtimes raise anything
            where = "does not run" if scheme.options.batch is None else "does not run for this batch"
            raise Unsupported(f"it was written, but {where} in its own runtime: {_first_line(error)}") from error
        if not np.isfinite(logits).all():  # the hardest images' too, which are not judged by how far they are off
            raise judge.Defect("the logits are not finite")
        try:
            judge.judge_answers(logits[:parity], answers.logits[:parity], scheme)
        except judge.Defect as error:
            if not scheme.trained:
                raise
            raise Unsupported(f"fine-tuning moves the network away from its own answers: {error}") from error
        if batch == -1:
            _try_together(format_module, temporary, source.input(answers.images[:parity]), contents, answers, scheme)

    golden = [*range(min(GOLDEN_FIRST, parity)), *range(parity, len(index))]
    pixels = "image_u8" if answers.images.dtype == np.uint8 else "image_f32"
    said = [source.calibration_note] if scheme.static and source.calibration_note else []
    if scheme.name != scheme.base:
        said.append(f"{scheme.name} is {scheme.base} with {described(scheme.options) or 'nothing else'}")
    return {
        "file": target.name,
        "sha256": files.sha256(target),
        "size_bytes": files.size_bytes(target),
        "compressed_bytes": sum(len(gzip.compress(m.read_bytes(), mtime=0)) for m in files.members(target)),
        "inputs": contents.inputs,
        "outputs": contents.outputs,
        "weights": dict(contents.weights),
        "covered_macs": judge.share_of_macs(contents.layers, scheme.weights, profile.layers),
        "options": scheme.options,
        "notes": (*contents.notes, *judge.coverage(contents, scheme, profile.layers), *said),
        "parameters": profile.parameters,
        "macs": profile.macs,
        "labels": source.labels,
        "layout": source.layout,
        "golden": tuple(
            Golden(
                index=int(index[i]),
                label=int(answers.labels[index[i]]),
                **{pixels: base64.b64encode(answers.images[index[i]].tobytes()).decode()},
                logits=tuple(float(x) for x in logits[i]),
            )
            for i in golden
        ),
        "dataset": Dataset(name=answers.dataset, split="test", sha256=answers.dataset_sha256, images=len(answers.images)),
        "checkpoint_sha256": source.checkpoint_sha256,
        "tools": {tool: version(tool) for tool in format_module.tools(recipe.framework)} | elsewhere.pins(recipe.format),
        "reproducible": _reproducible(format_module, scheme.base),
    }  # fmt: skip


def _answers(format_module: Any, file: Path, images: np.ndarray, contents: Contents, batch: int) -> np.ndarray:
    """Return the file's logits [N,K], so many images at once."""
    more = {} if batch == 1 else {"batch": batch}  # formats that only take one image need not know the word
    with phases.phase(phases.JUDGE):
        native = format_module.run(file, judge.to_native(images, contents.inputs[0]), **more)
    return judge.to_logits(native, contents.outputs[0])


def _try_together(
    format_module: Any, file: Path, images: np.ndarray, contents: Contents, answers: Reference, scheme: Scheme
) -> None:
    """Raise Unsupported where a file that is to take any number of images does not answer several as it should."""
    try:
        logits = _answers(format_module, file, images, contents, TOGETHER)
        judge.judge_answers(logits, answers.logits[: len(images)], scheme)
    except Exception as error:  # runtimes raise anything
        msg = f"it takes one image, but not {TOGETHER} at once: {_first_line(error)}"
        raise Unsupported(msg) from error


@contextmanager
def _toolchains_words() -> Iterator[None]:
    """Turn what a library raises over a network that it cannot convert into Unsupported; our own defects stay failures."""
    try:
        yield
    except (EdgewiseError, judge.Defect, OSError, MemoryError):
        raise
    except Exception as error:
        # phases.py watches every import: one that fails in a library passes through there
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != phases.__file__]
        if frames and Path(frames[-1].filename).is_relative_to(ROOT) and "site-packages" not in frames[-1].filename:
            raise
        traceback.print_exc()
        library = re.search(r"site-packages[/\\]([^/\\]+)", " ".join(f.filename for f in reversed(frames)))
        msg = f"{library[1] if library else 'the toolchain'} cannot convert it: {type(error).__name__}: {_first_line(error)}"
        raise Unsupported(msg) from error


def profile_of(source: Source) -> profiles.Profile:
    """Return what a network costs; raises DataError where its own description says otherwise."""
    return profiles.of(source.model, source.framework, source.network, source.input_shape, source.deployed.stated)


def distinct_weights(source: Source) -> int:
    """Count a network's weights without those that equal others: layers may share them, or begin as copies."""
    arrays = FRAMEWORKS[source.framework].weights(source.network).values()
    matrices = (a for a in arrays if a.size > max(a.shape, default=1))  # a vector, however shaped, may pass for a bias
    return sum({(a.shape, a.tobytes()): a.size for a in matrices}.values())


def completed(contents: Contents, source: Source) -> Contents:
    """Return a file's contents with the input and output that the file does not tell, as the source has them."""
    image = Tensor(name="image", shape=(1, *source.input_shape), dtype="float32")
    inputs = contents.inputs or (image,)
    logits = Tensor(name="logits", shape=(inputs[0].shape[0], source.classes), dtype="float32")
    return replace(contents, inputs=inputs, outputs=contents.outputs or (logits,))


def _reproducible(format_module: Any, scheme: str) -> bool | str:
    """Return True, or the reason why other bytes may come out: a format's, or that of one of its schemes."""
    reason = getattr(format_module, "irreproducible", True)
    return reason.get(scheme, True) if isinstance(reason, dict) else reason


def _failure(error: BaseException) -> dict[str, str]:
    return {"outcome": "export_failed", "reason": f"{type(error).__name__}: {_first_line(error)}"}


def _first_line(error: BaseException) -> str:
    """Return an error's first line, and what follows where that ends in a colon; without paths of this machine."""
    lines = [re.sub(r"\S*site-packages/", "", line.strip()) for line in str(error).splitlines() if line.strip()]
    first = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
    return first[:300] if first else "no message"


if __name__ == "__main__":
    main()
