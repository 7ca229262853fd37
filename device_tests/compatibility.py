"""`python -m device_tests.compatibility`: which versions of its runtime still load an artifact and answer as they should.

A version is one file, constraints/RUNTIME-VERSION.txt, beside the pinned one. An artifact that loads in an old version
may answer garbage there without an error, so its golden images are what is looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click
from packaging.version import Version
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from device_tests import probe, worker
from device_tests.cells import Cell, cells, select
from device_tests.conversation import Conversations
from device_tests.devices import Broken, Load
from device_tests.devices.desktop import command as on_desktop
from device_tests.runtimes import RUNTIMES
from export import artifact as artifacts
from models import console, environments, files
from models.console import out
from models.errors import DataError, EnvironmentMissing

TIMEOUT_S = 120.0
UNSETTLED = ("run_failed", "timed_out")  # tried again: the machine may have been the reason
SIGNS = {"ok": "yes", "mismatch": "other answers", "unsupported": "refused", "skipped": "not tried"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How one version of a runtime dealt with an artifact; `key` digests what the outcome depends on."""

    version: str
    outcome: str
    reason: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The trials of an artifact on the versions of one runtime, the oldest first."""

    artifact: str
    runtime: str
    artifact_sha256: str
    trials: tuple[Trial, ...]

    @property
    def oldest(self) -> str | None:
        """The oldest version that answers as it should."""
        return next((trial.version for trial in self.trials if trial.outcome == "ok"), None)

    @property
    def says(self) -> str:
        """Which versions answer as they should, in words: a newer one may no longer do."""
        tried = [trial for trial in self.trials if trial.outcome != "skipped"]
        good = [trial.version for trial in tried if trial.outcome == "ok"]
        if not good:
            return "none that was tried"
        newer = tried[[trial.version for trial in tried].index(good[0]) :]
        bad = [trial.version for trial in newer if trial.outcome != "ok"]
        return f"{good[0]} and newer" + (f", but not {', '.join(bad)}" if bad else "")


def versions(runtime: str) -> dict[str, str]:
    """Return the environments of a runtime by version, the oldest first, the pinned one among them."""
    constraints = environments.ROOT / "constraints"
    distribution = RUNTIMES[runtime].distributions[0]
    pins = (constraints / f"{runtime}.txt").read_text().splitlines()
    pinned = next(line.split("==")[1].split("+")[0] for line in pins if line.startswith(f"{distribution}=="))
    others = {file.stem.removeprefix(f"{runtime}-"): file.stem for file in constraints.glob(f"{runtime}-*.txt")}
    every = others | {pinned: runtime}
    return dict(sorted(every.items(), key=lambda item: Version(item[0])))


def path(results: Path, artifact: str, runtime: str) -> Path:
    """Return where the grid of an artifact lies."""
    return results / "compatibility" / f"{artifact}@{runtime}.json"


def read(file: Path) -> Grid | None:
    """Read a grid, None where there is none; raises DataError where it is broken."""
    try:
        content = json.loads(file.read_text())
        trials = tuple(Trial(**trial) for trial in content["trials"])
        return Grid(**{f.name: content[f.name] for f in fields(Grid)} | {"trials": trials})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file} is no compatibility grid ({type(error).__name__}: {error}). Delete it and run: nox -s compatibility"
        raise DataError(msg) from error


def run(cell: Cell, artifacts_folder: Path, results: Path, conversations: Conversations) -> Grid:
    """Return the grid of an artifact, in which only what is missing or not current was tried anew; writes it.

    Raises DataError where the artifact is not there or broken.
    """
    sidecar = artifacts.sidecar_path(artifacts_folder, cell.recipe.id)
    artifact = artifacts.read(sidecar)
    load = Load(runtime=cell.runtime, artifact=artifacts.check(artifact, artifacts_folder), sidecar=sidecar,
                timeout_s=TIMEOUT_S)  # fmt: skip
    file = path(results, artifact.id, cell.runtime)
    try:
        before = (read(file) or Grid(**_nothing(cell))).trials
        known = {trial.key: trial for trial in before if trial.outcome not in UNSETTLED}
    except DataError:
        known = {}  # it is replaced
    trials = []
    for version, environment in versions(cell.runtime).items():
        pins = (environments.ROOT / "constraints" / f"{environment}.txt").read_text()
        code = [files.sha256(Path(f)) for f in (probe.__file__, worker.__file__, RUNTIMES.path(cell.runtime))]
        key = hashlib.sha256(json.dumps([pins, artifact.sha256, *code]).encode()).hexdigest()
        trials.append(known.get(key) or _try(load, environment, version, key, conversations))
    tried = [trial for trial in trials if trial.outcome != "skipped"]
    made = Grid(artifact=artifact.id, runtime=cell.runtime, artifact_sha256=artifact.sha256, trials=tuple(trials))
    if tried:
        files.write_json(file, asdict(made) | {"trials": [asdict(trial) for trial in tried]})
    return made


def _nothing(cell: Cell) -> dict:
    return {"artifact": cell.recipe.id, "runtime": cell.runtime, "artifact_sha256": "", "trials": ()}


def _try(load: Load, environment: str, version: str, key: str, conversations: Conversations) -> Trial:
    facts = {"version": version, "key": key}
    try:
        with conversations.loaded(on_desktop(probe.__file__, load, environment=environment), load) as (row, _):
            right, golden = row["golden"]
    except EnvironmentMissing as error:
        return Trial(outcome="skipped", reason=str(error), **facts)
    except Broken as broken:
        return Trial(outcome=broken.outcome, reason=broken.reason, **facts)
    if right < golden:
        reason = f"{right} of {golden} golden images are answered as in the sidecar"
        return Trial(outcome="mismatch", reason=reason, **facts)
    return Trial(outcome="ok", reason="", **facts)


def table(grids: list[Grid], runtime: str) -> Table:
    """Return what each version of a runtime did with each artifact."""
    names = tuple(versions(runtime))
    drawn = Table(title=f"{runtime}: which versions answer as they should", title_justify="left")
    drawn.add_column("artifact", no_wrap=True)
    for version in names:
        drawn.add_column(version)
    drawn.add_column("that do")
    for grid in grids:
        by_version = {trial.version: SIGNS.get(trial.outcome, trial.outcome) for trial in grid.trials}
        drawn.add_row(grid.artifact, *(by_version[version] for version in names), grid.says)
    return drawn


@click.command()
@click.option("--only", "patterns", multiple=True, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE].")
@click.option("--list", "listing", is_flag=True, help="List the environments and end.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes side by side.")
@click.option("--artifacts", "folder", default="artifacts", show_default=True, type=click.Path(path_type=Path))
@click.option("--results", default="results", show_default=True, type=click.Path(path_type=Path))
def command(patterns: tuple[str, ...], listing: bool, jobs: int, folder: Path, results: Path) -> None:
    """Load each artifact with older and newer versions of its runtime, and look at its golden answers."""
    known = {runtime: versions(runtime) for runtime in RUNTIMES.names()}
    several = tuple(runtime for runtime, found in known.items() if len(found) > 1)
    chosen = select(cells(), runtimes=several, patterns=patterns)
    console.validated()
    if listing:
        for runtime in several:
            for environment in known[runtime].values():
                click.echo(environment)
        return
    if not folder.is_dir():
        msg = f"There are no artifacts in {folder}. Make them with: nox -s export"
        raise DataError(msg)
    conversations = Conversations()
    grids, failed = _run_all(chosen, jobs, conversations, lambda cell: run(cell, folder, results, conversations))
    for runtime in several:
        own = sorted((g for g in grids if g.runtime == runtime), key=lambda g: g.artifact)
        if own:
            out.print(table(own, runtime))
    missing = sorted({t.reason for g in grids for t in g.trials if t.outcome == "skipped"})
    for line in (*missing, *failed):
        out.print(line, soft_wrap=True, style="yellow", markup=False)


def _run_all(
    chosen: tuple[Cell, ...], jobs: int, conversations: Conversations, settle: Callable[[Cell], Grid]
) -> tuple[list[Grid], list[str]]:
    grids, failed = [], []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress, ThreadPoolExecutor(jobs) as pool:
        task = progress.add_task("compatibility", total=len(chosen))
        futures = {pool.submit(settle, cell): cell for cell in chosen}
        try:
            for future in as_completed(futures):
                try:
                    grids.append(future.result())
                except DataError as error:
                    failed.append(f"{futures[future].id}: {error}")
                progress.advance(task)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            conversations.stop()
            raise
    return grids, failed


if __name__ == "__main__":
    console.main(command)
