"""Measures what rewrites bring: the rewritten file and the converter's own file are counted and timed side by side."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device_tests.cells import Cell
from device_tests.contract import DESKTOP
from device_tests.measure import instructions as counter
from device_tests.measure import rounds
from device_tests.onboard import surroundings
from device_tests.results import rewrites
from device_tests.results.latency import Series, ratio
from device_tests.results.rewrites import Pair, Rewritten
from export import artifact as artifacts
from models import suggested_commands
from models.common.environments import ROOT
from models.common.errors import DataError, EdgewiseError

AS_CONVERTED = " as converted"  # after the id of what it is compared with
PAIRS = rounds.AT_ONCE // 2  # timed side by side


@dataclass(frozen=True, kw_only=True)
class Place:
    """The folders of artifacts and results; a folder in the results holds the converted files and their counts."""

    artifacts: Path
    results: Path

    @property
    def converted(self) -> Path:
        return rewrites.folder(self.results) / "artifacts"


def chosen(cells: Iterable[Cell], artifacts_folder: Path) -> tuple[Cell, ...]:
    """Return the cells whose artifact was rewritten; raises DataError where none of their artifacts is there."""
    cells = tuple(cells)
    there = {
        id: artifacts.read(sidecar)
        for id in dict.fromkeys(cell.recipe.id for cell in cells)
        if (sidecar := artifacts.sidecar_path(artifacts_folder, id)).exists()
    }
    if not there:
        raise DataError(f"{artifacts_folder} holds none of the {len(cells)} artifacts. Make them with: nox -s export")
    return tuple(cell for cell in cells if cell.recipe.id in there and there[cell.recipe.id].rewrites)


def convert(ids: Iterable[str], place: Place) -> None:
    """Export the same artifacts without rewrites, where they are missing; raises EdgewiseError where that fails."""
    ids = tuple(dict.fromkeys(ids))
    only = itertools.chain.from_iterable(("--only", id) for id in ids)
    folder = rewrites.folder(place.results)
    argv = [sys.executable, "-m", "export", "--no-rewrites", *only]
    argv += ["--artifacts", str(place.converted.resolve()), "--logs", str((folder / "logs").resolve())]
    done = subprocess.run(argv, cwd=ROOT)
    if done.returncode:
        msg = f"The files without rewrites could not be exported (exit code {done.returncode}); why is said above."
        raise EdgewiseError(msg)
    for id in ids:
        require_same_source(id, place)


def require_same_source(id: str, place: Place) -> None:
    """Raise DataError where both files of an artifact are not made from the same checkpoint and images."""
    converted, ours = _both(id, place)
    if (converted.checkpoint_sha256, converted.dataset) != (ours.checkpoint_sha256, ours.dataset):
        raise DataError(
            f"{id} in {place.artifacts} is of another checkpoint, or of other images ({ours.dataset.name}), than an export "
            f"makes it from now ({converted.dataset.name}). Make it again with: {suggested_commands.nox('export', f'--only {id}')}"
        )


def _both(id: str, place: Place) -> Iterator[artifacts.Artifact]:
    return (artifacts.read(artifacts.sidecar_path(folder, id)) for folder in (place.converted, place.artifacts))


def count(cells: tuple[Cell, ...], devices: Iterable[str], place: Place, *, jobs: int, timeout_s: float,
          ended: Callable[[str], None]) -> dict[str, dict[str, Pair]]:  # fmt: skip
    """Return the instructions of both files per inference, by ARTIFACT@RUNTIME and device; raises EdgewiseError."""
    there = tuple(replace(cell, device=device) for cell in cells for device in devices)
    counts: list[dict[str, counter.Ended]] = []
    for folder, results in ((place.converted, rewrites.folder(place.results)), (place.artifacts, place.results)):
        counts.append({})
        counter.run(there, artifacts_folder=folder, results=results, force=False, jobs=jobs, timeout_s=timeout_s,
                    ended=lambda end: (counts[-1].update({end.count.id: end}), ended(end.count.id)))  # fmt: skip
    pairs: dict[str, dict[str, Pair]] = {f"{cell.recipe.id}@{cell.runtime}": {} for cell in cells}
    for cell in there:
        ends = [of[cell.id] for of in counts]
        for end in ends:
            if end.count.instructions is None:
                if end.lacks is not None:
                    raise end.lacks
                raise EdgewiseError(f"{cell.id} could not be counted: {end.count.outcome}: {end.count.reason}")
        converted, now = (end.count.instructions for end in ends)
        pairs[f"{cell.recipe.id}@{cell.runtime}"][cell.device] = Pair(converted=converted, rewritten=now)
    return pairs


def time(
    cells: tuple[Cell, ...], place: Place, *, limit_s: float, report_progress: Callable[[str], None]
) -> dict[str, Series]:
    """Time both files of each cell on the desktop, in rounds over a few pairs; return the series of each by its id."""
    rng, series = np.random.default_rng(0), {}
    for start in range(0, len(cells), PAIRS):
        entrants = list(_entrants(cells[start : start + PAIRS], place))
        series |= {
            one.id: one for one in rounds.measure(entrants, rng=rng, limit_s=limit_s, report_progress=report_progress)
        }
    return series


def _entrants(cells: tuple[Cell, ...], place: Place) -> Iterator[rounds.Entrant]:
    here = tuple(replace(cell, device=DESKTOP) for cell in cells)
    for folder, suffix, baseline in ((place.converted, AS_CONVERTED, ""), (place.artifacts, "", AS_CONVERTED)):
        able, unable = rounds.entrants(here, folder)
        if unable:
            raise DataError(f"{unable[0].id} cannot be timed: {unable[0].outcome}: {unable[0].reason}")
        for one in able:
            yield replace(one, id=f"{one.id}{suffix}", baseline=f"{one.id}{baseline}" if baseline else "")


def record(cell: Cell, place: Place, instructions: dict[str, Pair], series: dict[str, Series]) -> Rewritten:
    """Return the record of a cell's artifact with and without rewrites."""
    converted, rewritten = _both(cell.recipe.id, place)
    id = f"{cell.recipe.id}@{cell.runtime}@{DESKTOP}"
    timed = [one for name in (id, f"{id}{AS_CONVERTED}") if (one := series.get(name)) and one.rounds_ns]
    facts = {}
    if len(timed) == 2:
        facts = {"latency": ratio(*timed), "rounds": len(timed[0].rounds_ns), "cpu": surroundings.cpu_model()}
    return Rewritten(
        artifact=cell.recipe.id,
        runtime=cell.runtime,
        artifact_sha256=rewritten.sha256,
        converted_sha256=converted.sha256,
        rewrites=tuple(rewrite.name for rewrite in rewritten.rewrites),
        bytes=Pair(converted=converted.size_bytes, rewritten=rewritten.size_bytes),
        instructions=instructions,
        **facts,
    )
