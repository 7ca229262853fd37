"""`python -m device_tests run`: run artifacts on runtimes and keep what came of each."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from device_tests import devices
from device_tests.cells import cells, possible, select
from device_tests.commands import options
from device_tests.contract import DESKTOP
from device_tests.gates import budgets as budget_file
from device_tests.results.measurement import OUTCOMES, Measurement
from models.console import out
from models.errors import DataError, EdgewiseError

FINE = ("ok", "unsupported", "skipped")
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "yellow"}


@click.command()
@options.runtimes
@options.only
@click.option("--quick", is_flag=True, help="Judge on the first 1,000 images.")
@click.option("--full", is_flag=True, help="Judge on all images on emulated devices, too; else on the first 1,000.")
@options.listing
@click.option("--force", is_flag=True, help="Run again what has a current result.")
@options.jobs(2, "Answers judged side by side.")
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, help="Seconds without a sign of life.")
@options.artifacts
@options.results
@options.budgets
@options.device
def run(
    runtimes: tuple[str, ...],
    patterns: tuple[str, ...],
    quick: bool,
    listing: bool,
    force: bool,
    jobs: int,
    timeout_s: float,
    artifacts: Path,
    results: Path,
    budgets: Path,
    chosen_devices: tuple[str, ...],
    full: bool,
) -> None:
    """Run every artifact on every runtime that takes it, except where a current result is there.

    The exit code is 0 where each cell is ok, unsupported or skipped, or has the outcome that the budgets expect of it;
    1 where one failed otherwise.
    """
    every = tuple(cell for name in chosen_devices or (DESKTOP,) for cell in cells(name))
    chosen = select(every, runtimes=runtimes, patterns=patterns)
    if listing:
        for cell in chosen:
            click.echo(cell.id)
        return
    if not artifacts.is_dir():
        msg = f"There are no artifacts in {artifacts}. Make them with: nox -s export"
        raise DataError(msg)
    for name in runtimes:  # asked for by name: a missing one is an error, not a skipped row
        for device in {cell.device for cell in chosen}:
            devices.device(device).require(name)
    limits = budget_file.load(budgets, tuple({cell.id: None for cell in (*possible(), *every)})).budgets

    from device_tests.measure import runner  # only here: listing needs none of it

    bench = runner.Bench(artifacts=artifacts, results=results, quick=quick, full=full, force=force, timeout_s=timeout_s)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    made: list[Measurement] = []
    started, current = time.perf_counter(), 0
    with Progress(*columns, TextColumn("{task.fields[at]}"), console=out) as progress:
        task = progress.add_task("device_tests", total=len(chosen), at="")

        def ended(end: runner.Ended) -> None:
            nonlocal current
            made.append(end.measurement)
            current += end.current
            progress.advance(task)
            if not end.current:
                progress.console.print(f"{len(made):3}/{len(chosen)} {_describe(end.measurement)}", soft_wrap=True)

        runner.run(chosen, bench, jobs=jobs, begins=lambda id: progress.update(task, at=escape(id)), ended=ended)

    counts = Counter(row.outcome for row in made)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]) or "no cell is chosen"
    elapsed_s = time.perf_counter() - started
    out.print(f"{told}; {current} were current; {elapsed_s:.0f} s; results in {results}", soft_wrap=True)
    failed = [r for r in made if r.outcome not in FINE and r.outcome not in budget_file.expected_outcomes(limits, r.id)]
    if failed:
        lines = "".join(f"\n  {r.id}: {r.outcome}: {r.reason}" for r in failed)
        msg = f"{len(failed)} of {len(made)} cells failed unexpectedly ({budgets} says what to expect):{lines}"
        raise EdgewiseError(msg)


def _describe(row: Measurement) -> str:
    colour = COLOURS.get(row.outcome, "red")
    if row.outcome == "ok":
        took = f", p50 {row.p50_ns / 1e3:,.0f} µs" if row.p50_ns else ""
        detail = f"top-1 {row.top1:.2%} of {row.total:,}, agree {row.agreement:.2%}{took}"
    else:
        detail = row.reason
    return f"{row.seconds:6.1f} s [{colour}]{row.outcome}[/] {row.id}: {escape('; '.join([detail, *row.notes]))}"
