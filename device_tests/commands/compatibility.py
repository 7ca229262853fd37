"""`python -m device_tests compatibility`: which versions of its runtime still answer each artifact as they should."""

from collections.abc import Callable
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from device_tests import pool
from device_tests.cells import Cell, cells, require_artifacts, select
from device_tests.commands import options
from device_tests.measure.compatibility import run, versions
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.compatibility import Grid
from device_tests.schedule import Closed
from device_tests.transport.dialogue import Conversations
from models.common.console import out, plain, printable, validated
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError

SIGNS = {"ok": "yes", "mismatch": "other answers", "unsupported": "refused", "skipped": "not tried"}


def table(grids: list[Grid], runtime: str) -> Table:
    """Return what each version of a runtime did with each artifact."""
    names = tuple(versions(runtime))
    title = f"{runtime}: which versions answer as they should"
    drawn = Table(Column("artifact", no_wrap=True), *names, "that do", title=title, title_justify="left")
    for grid in grids:
        by_version = {trial.version: SIGNS.get(trial.outcome, trial.outcome) for trial in grid.trials}
        drawn.add_row(plain(grid.artifact), *(by_version[version] for version in names), grid.summary)
    return drawn


@click.command()
@options.only
@click.option("--list", "listing", is_flag=True, help="List the environments and end.")
@options.jobs(2, "Processes side by side.")
@options.places
def compatibility(patterns: tuple[str, ...], listing: bool, jobs: int, artifacts: Path, results: Path) -> None:
    """Load each artifact with older and newer versions of its runtime, and look at its golden answers.

    The exit code is 1 where something went wrong that nobody foresaw, 3 where no artifact could be tried, 4 where no
    version is installed.
    """
    environments = {runtime: versions(runtime) for runtime in RUNTIMES.names()}
    several = tuple(runtime for runtime, by_version in environments.items() if len(by_version) > 1)
    chosen = select(cells(), runtimes=several, patterns=patterns)
    validated()
    if listing:
        for runtime in several:
            for environment in environments[runtime].values():
                click.echo(environment)
        return
    require_artifacts(artifacts)
    conversations = Conversations()
    done = _run_all(chosen, jobs, conversations, lambda cell: run(cell, artifacts, results, conversations))
    grids = [grid for grid in done.values() if isinstance(grid, Grid)]
    errors = {id: error for id, error in done.items() if isinstance(error, Exception)}
    for runtime in several:
        own = sorted((g for g in grids if g.runtime == runtime), key=lambda g: g.artifact)
        if own:
            out.print(table(own, runtime))
    missing = sorted({t.reason for g in grids for t in g.trials if t.outcome == "skipped"})
    for line in (*missing, *(f"{id}: {error}" for id, error in errors.items())):
        out.print(printable(line), soft_wrap=True, style="yellow", markup=False)
    _fail(chosen, grids, errors)


def _fail(chosen: tuple[Cell, ...], grids: list[Grid], errors: dict[str, Exception]) -> None:
    """Raise an error where a cell failed for an unforeseen reason, or where nothing was tried."""
    unforeseen = [f"\n  {id}: {type(e).__name__}: {e}" for id, e in errors.items() if not isinstance(e, DataError)]
    if unforeseen:
        raise EdgewiseError(f"{len(unforeseen)} of {len(chosen)} artifacts could not be tried:{''.join(unforeseen)}")
    if chosen and not grids:
        raise DataError(f"None of {len(chosen)} artifacts could be tried; what is wrong with each is above.")
    if grids and all(trial.outcome == "skipped" for grid in grids for trial in grid.trials):
        raise EnvironmentMissing(f"Nothing was tried: {grids[0].trials[0].reason}")


def _run_all(
    chosen: tuple[Cell, ...], jobs: int, conversations: Conversations, settle: Callable[[Cell], Grid]
) -> dict[str, Grid | Exception]:
    """Return the grid of each cell by its id, or the error that kept it from being tried."""
    done: dict[str, Grid | Exception] = {}

    def work(cell: Cell) -> None:
        try:
            done[cell.id] = settle(cell)
        except (Closed, StorageError):
            raise
        except Exception as error:  # the others can still be tried
            done[cell.id] = error

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("compatibility", total=len(chosen))
        pool.run_all(chosen, work, lambda _: progress.advance(task), sizes={"": jobs}, cancel=conversations.stop)
    return done
