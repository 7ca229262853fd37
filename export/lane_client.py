"""A lane as those see it who give it work: a process that makes the recipes of one unit after another, until it dies."""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from export import keys
from export.environment import ENVIRONMENT
from export.planning import Job
from export.recipe import Recipe
from models import data
from models.common import environments, files, records
from models.common.environments import ROOT
from models.common.processes import death, kill
from models.common.records import Record

TIMEOUT_S = 900  # for one recipe; the slowest, a quantization-aware one, takes a tenth of it


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Recipes of one model that share conversions: `family` names what they are made with (export/recipe.py)."""

    job: Job
    family: str
    recipes: Mapping[Recipe, str] = field(hash=False)


class Event(Record, kw_only=True):
    """What a lane tells: of the recipe `id`, with the seconds `spent` by phase, or the `kind` of error that ends it and why.

    It does not tell that it `died`; it was `killed` where a signal ended it.
    """

    event: Literal["begins", "prepared", "written", "ended", "done", "broken", "died"]
    id: str = ""
    spent: dict[str, float] = {}
    kind: str = ""
    reason: str = ""
    killed: bool = False


class Lane:
    """One process. It outlives its units, so that what they import is paid for once."""

    def __init__(self, log: Path) -> None:
        python = environments.python("export", install="nox -s export")
        with files.storage_errors(log), log.open("ab") as file:
            self.process = subprocess.Popen(
                [python, "-m", "export.lane"],
                cwd=ROOT,
                env={**os.environ, **data.keras_home(), **ENVIRONMENT},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                encoding="utf-8",
                errors="replace",  # whatever a library writes there must not end the run
                start_new_session=True,  # a group of its own, so that it can be killed with all that it started
            )

    def events(
        self, unit: Unit, remaining: Mapping[Recipe, str], *, anew: bool, unchanged: Collection[str] = ()
    ) -> Iterator[Event]:
        """Hand over what remains of a unit and yield what the lane tells; the last event is `done`, `broken` or `died`.

        `anew` has the model's reference made again. The ids in `unchanged` are of files that no rewrite may touch.
        """
        with contextlib.suppress(BrokenPipeError):  # it died at once; its exit code tells
            self.process.stdin.write(json.dumps(_request(unit, remaining, anew=anew, unchanged=unchanged)) + "\n")
            self.process.stdin.flush()
        event = None
        while event is None or event.event not in ("done", "broken", "died"):
            line, timed_out = self._line()
            if timed_out:
                event = Event(event="died", reason=f"no sign of life for {TIMEOUT_S} s")
            elif not line:
                code = self.process.wait()
                event = Event(event="died", reason=death(code) if code else "", killed=code < 0)
            else:
                try:
                    event = records.decoder(Event).decode(line)
                except msgspec.MsgspecError:
                    event = foreign(line)
            yield event

    def _line(self) -> tuple[str, bool]:
        """Return the next line, "" at the end, and whether the process was killed because it took too long."""
        began, timer = time.monotonic(), threading.Timer(TIMEOUT_S, kill, [self.process])
        timer.daemon = True
        timer.start()
        try:
            line = self.process.stdout.readline()
            return line, not line and time.monotonic() - began >= TIMEOUT_S
        finally:
            timer.cancel()

    def end(self) -> None:
        """Kill the process with all that it started; what it told is not read any more."""
        kill(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not written yet is for nobody now
                pipe.close()


def _request(unit: Unit, remaining: Mapping[Recipe, str], *, anew: bool, unchanged: Collection[str]) -> dict[str, Any]:
    job = unit.job
    inputs = dict(job.reference_inputs)
    return {
        "model": job.model,
        "dataset": job.dataset,
        "folder": str(job.folder.resolve()),
        "log": str(job.log.resolve()),
        "checkpoint_sha256": job.checkpoint_sha256,
        "force": job.force,
        "reference": {"key": keys.reference_key(inputs), "inputs": inputs, "force": anew},
        "recipes": [
            {"recipe": asdict(r), "key": k, "rewrites": job.rewrites, "unchanged": r.id in unchanged}
            for r, k in remaining.items()
        ],
    }


def foreign(line: object) -> Event:
    """Return the end of a lane that wrote what it must not."""
    return Event(event="died", reason=f"it wrote {str(line)[:80]!r} where its events go")
