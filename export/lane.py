"""A lane: one process that makes recipes, family by family, so that heavy imports are paid once and a crash harms nobody.

`python -m export.lane` reads a unit of work from each line of stdin (export/lane_client.py) and writes one line of JSON per
event to stdout; whatever the libraries print goes into the log file of the unit's model.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from export import artifact as artifacts
from export import making, phases, references
from export.recipe import Recipe
from export.source import Source
from models import reference
from models.common.errors import DataError, EdgewiseError
from models.reference import Reference

# Frameworks make millions of small objects that live as long as the lane: to look through them after every 700 new ones,
# as Python does, took a tenth of an export.
GARBAGE = 200_000, 20, 20
UNCHANGED = "not rewritten: the process that made it first was killed"


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
            expected = _prepared(source, folder, unit)
        emit(event="prepared", spent=phases.taken())
        for order in unit["recipes"]:
            recipe = Recipe(**order["recipe"])
            emit(event="begins", id=recipe.id)
            source.rewrites = order["rewrites"] and not order["unchanged"]
            written = partial(emit, event="written", id=recipe.id)
            artifact = making.make(recipe, source, expected, folder, order["key"], written)
            if order["rewrites"] and order["unchanged"]:
                artifact = replace(artifact, notes=(*artifact.notes, UNCHANGED))
            artifacts.save(artifact, folder)
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
    path, expected = reference.path(folder, source.model), job["reference"]
    if not expected["force"]:
        try:
            stored = reference.load(path)
            if stored.is_current(expected["key"]):
                return stored
        except DataError as error:
            print(f"{error} Making it again.", file=sys.stderr)
    new = references.cached_or_new(source, key=expected["key"], inputs=expected["inputs"], anew=expected["force"])
    reference.save(new, path)
    return new


if __name__ == "__main__":
    main()
