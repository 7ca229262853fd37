"""Interleaved timing: artifacts stay loaded, and each round times all of them in a new random order."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from device_tests import devices, onboard
from device_tests.cells import Cell
from device_tests.contract import DESKTOP, Ask, Broken, Load, reason_of
from device_tests.measure import roofline
from device_tests.onboard import surroundings
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.latency import Series, settled
from device_tests.schedule import Closed
from export import artifact as artifacts
from models.common import files
from models.common.errors import DataError

AT_ONCE = 12  # artifacts loaded side by side: a process with TensorFlow takes 0.7 GB
TIMER_SHARE = 1_000  # a sample takes at least this many times what the timer takes
SAMPLES, BLOCK_NS = 64, 20e6  # most samples per round, and about how long they take together
WARM_UP_S, STEADY = 3.0, 0.02  # most time to warm up; two blocks that differ by less are steady
LEAST_ROUNDS, LOOK_EVERY = 20, 5  # rounds before the first look at the intervals, and between looks
LEAST = 2  # rounds whatever the limit is: fewer have no interval
TIMEOUT_S = 120.0

FLOAT = "float32"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """An artifact to time; `slowdown` is the share of its own time that it wastes, for checks of the method."""

    id: str
    baseline: str
    load: Load
    artifact_sha256: str = ""
    macs: int = 0
    roof: str = ""
    slowdown: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of its series that its artifact gives."""
        return {name: getattr(self, name) for name in ("artifact_sha256", "macs", "roof")}


@dataclass(kw_only=True)
class Loaded:
    """An entrant that is loaded in its process, and its series so far."""

    ask: Ask
    slowdown: float
    samples: int
    series: Series

    def add_round(self) -> None:
        request = {"samples": self.samples, "inferences": self.series.inferences, "slowdown": self.slowdown}
        taken = tuple(self.ask(request)["ns"])
        self.series = structs.replace(self.series, rounds_ns=(*self.series.rounds_ns, taken))


def batches(cells: tuple[Cell, ...]) -> Iterator[tuple[Cell, ...]]:
    """Yield the cells in batches of about AT_ONCE; all schemes of one model and format are in one batch."""
    batch: tuple[Cell, ...] = ()
    for _, group in groupby(cells, key=lambda cell: (cell.recipe.model, cell.recipe.format)):
        family = tuple(group)
        if batch and len(batch) + len(family) > AT_ONCE:
            yield batch
            batch = ()
        batch += family
    if batch:
        yield batch


def entrants(cells: tuple[Cell, ...], artifacts_folder: Path) -> tuple[list[Entrant], list[Series]]:
    """Return the cells that can be timed, and for each other cell a series with the reason."""
    able, unable = [], []
    every = {cell.id for cell in cells}
    for cell in cells:
        baseline = cell.id.replace(f"-{cell.recipe.scheme}@", f"-{FLOAT}@")
        sidecar = artifacts.sidecar_path(artifacts_folder, cell.recipe.id)
        try:
            artifact = artifacts.read(sidecar)
            if artifact.outcome != "ok":
                unable.append(Series(id=cell.id, outcome=artifact.outcome, reason=artifact.reason))
                continue
            file = artifacts.check(artifact, artifacts_folder)
        except DataError as error:
            unable.append(Series(id=cell.id, outcome="skipped", reason=str(error)))
            continue
        load = Load(runtime=cell.runtime, artifact=file, sidecar=sidecar, timeout_s=TIMEOUT_S)
        facts = {"artifact_sha256": artifact.sha256, "macs": artifact.macs, "roof": roofline.dtype(cell.recipe.scheme)}
        baseline = baseline if baseline != cell.id and baseline in every else ""
        able.append(Entrant(id=cell.id, baseline=baseline, load=load, **facts))
    return able, unable


def key(runtime: str, taking_part: list[Entrant], *, seed: int, limit_s: float) -> str:
    """Return a digest of what a run's samples depend on, except for the load of the machine."""
    code = (Path(__file__), *onboard.PROBE, RUNTIMES.path(runtime))
    digests = [files.sha256(file) for file in code]
    timed = [(entrant.id, entrant.artifact_sha256) for entrant in taking_part]
    parts = [*digests, devices.device(DESKTOP).pins(runtime), surroundings.cpu_model(), timed, [seed, limit_s]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def measure(
    taking_part: list[Entrant], *, rng: np.random.Generator, limit_s: float, report_progress: Callable[[str], None]
) -> tuple[Series, ...]:
    """Time the entrants in rounds until their intervals are narrow or `limit_s` is over; return a series of each.

    An entrant that cannot be loaded, computes its golden images wrong, or fails later, gets a series with its outcome
    and without rounds.
    """
    running: dict[str, Loaded] = {}
    failed: list[Series] = []
    with ExitStack() as stack:
        for entrant in taking_part:
            report_progress(f"loading {entrant.id}")
            with _may_fail(entrant, running, failed):
                running[entrant.id] = _load(entrant, stack, warm_up_s=min(WARM_UP_S, limit_s))
        rounds, ends = 0, time.monotonic() + limit_s
        while running and (rounds < LEAST or time.monotonic() < ends):
            for i in rng.permutation(len(taking_part)):
                if loaded := running.get(taking_part[i].id):
                    with _may_fail(taking_part[i], running, failed):
                        loaded.add_round()
            rounds += 1
            report_progress(f"round {rounds} of {len(running)} artifacts")
            if rounds >= LEAST_ROUNDS and rounds % LOOK_EVERY == 0 and _all_settled(running):
                break
    return (*failed, *(loaded.series for loaded in running.values()))


@contextmanager
def _may_fail(entrant: Entrant, running: dict[str, Loaded], failed: list[Series]) -> Iterator[None]:
    """Move an entrant for which the block raises from those that run to those that failed, with its reason."""
    try:
        yield
    except Closed:
        raise
    except Exception as error:
        running.pop(entrant.id, None)
        outcome, reason = (
            (error.outcome, error.reason) if isinstance(error, Broken) else ("run_failed", reason_of(error))
        )
        failed.append(Series(id=entrant.id, outcome=outcome, reason=reason, **entrant.facts))


def _all_settled(running: dict[str, Loaded]) -> bool:
    every = {name: loaded.series for name, loaded in running.items()}
    return all(settled(series, every.get(series.baseline)) for series in every.values())


def _load(entrant: Entrant, stack: ExitStack, *, warm_up_s: float) -> Loaded:
    """Load an entrant, warm it up until it is steady, and choose how much work a sample and a block hold.

    Raises Broken with the outcome `mismatch` where its golden images are wrong, for then its times mean nothing.
    """
    row, ask = stack.enter_context(devices.device(DESKTOP).loaded(entrant.load))
    right, golden = row["golden"]
    if right < max(golden, 1):
        raise Broken("mismatch", f"{right} of {golden} golden images are answered as in the sidecar")
    ends = time.monotonic() + warm_up_s
    inference_ns, steady = math.inf, False
    samples = 3
    while not steady and time.monotonic() < ends:
        before, inference_ns = inference_ns, float(np.median(ask({"samples": samples, "inferences": 1})["ns"]))
        steady = abs(before / inference_ns - 1) < STEADY
        samples = max(1, int(BLOCK_NS / inference_ns))
    inferences = max(1, math.ceil(TIMER_SHARE * row["timer_ns"] / inference_ns))
    facts = {name: row[name] for name in ("timer_ns", "environment", "threads")} | {"notes": tuple(row["notes"])}
    series = Series(
        id=entrant.id, baseline=entrant.baseline, inferences=inferences, steady=steady, **facts, **entrant.facts
    )
    samples = min(SAMPLES, max(1, int(BLOCK_NS / (inference_ns * inferences))))
    return Loaded(ask=ask, slowdown=entrant.slowdown, samples=samples, series=series)
