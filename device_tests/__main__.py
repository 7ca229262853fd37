"""`python -m device_tests`: run artifacts on runtimes, report what came of it, hold budgets against it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from device_tests import budgets as budget_file
from device_tests.cells import cells, select
from device_tests.devices import DEVICES
from device_tests.measurement import OUTCOMES, Measurement
from models import console
from models.console import out
from models.errors import DataError, EdgewiseError

BROKEN_BUDGET = 10
FINE = ("ok", "unsupported", "skipped")
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "yellow"}

_FOLDER = click.Path(path_type=Path, file_okay=False)
_artifacts = click.option("--artifacts", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
_results = click.option("--results", default="results", show_default=True, type=_FOLDER, help="Where results are.")
_budgets = click.option(
    "--budgets",
    default="budgets.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Limits and expected outcomes.",
)
_device = click.option("--device", default="desktop", show_default=True, help="Where runtimes run.")


@click.group()
def group() -> None:
    """Run artifacts on runtimes, report what came of it, and hold budgets against it."""


@group.command()
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime; may be repeated.")
@click.option("--only", "patterns", multiple=True, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE].")
@click.option("--quick", is_flag=True, help="Judge on the first 1,000 images.")
@click.option("--list", "listing", is_flag=True, help="List the cells and end.")
@click.option("--force", is_flag=True, help="Run again what has a current result.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Answers judged side by side.")
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, help="Seconds without a sign of life.")
@_artifacts
@_results
@_budgets
@_device
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
    device: str,
) -> None:
    """Run every artifact on every runtime that takes it, except where a current result is there.

    The exit code is 0 where each cell is ok, unsupported or skipped, or has the outcome that the budgets expect of it;
    1 where one failed otherwise.
    """
    DEVICES.path(device)
    every = cells(device)
    chosen = select(every, runtimes=runtimes, patterns=patterns)
    if listing:
        for cell in chosen:
            click.echo(cell.id)
        return
    if not artifacts.is_dir():
        msg = f"There are no artifacts in {artifacts}. Make them with: nox -s export"
        raise DataError(msg)
    for name in runtimes:  # asked for by name: a missing one is an error, not a skipped row
        DEVICES[device].require(name)
    limits = budget_file.load(budgets, tuple(cell.id for cell in every))

    from device_tests import runner  # only here: listing needs none of it

    bench = runner.Bench(artifacts=artifacts, results=results, quick=quick, force=force, timeout_s=timeout_s)
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
    failed = [r for r in made if r.outcome not in FINE and r.outcome != budget_file.expected_outcome(limits, r.id)]
    if failed:
        lines = "".join(f"\n  {r.id}: {r.outcome}: {r.reason}" for r in failed)
        msg = f"{len(failed)} of {len(made)} cells failed unexpectedly ({budgets} says what to expect):{lines}"
        raise EdgewiseError(msg)


def _describe(row: Measurement) -> str:
    colour = COLOURS.get(row.outcome, "red")
    if row.outcome == "ok":
        detail = f"top-1 {row.top1:.2%} of {row.total:,}, agree {row.agreement:.2%}, p50 {row.p50_ns / 1e3:,.0f} µs"
    else:
        detail = row.reason
    return f"{row.seconds:6.1f} s [{colour}]{row.outcome}[/] {row.id}: {escape('; '.join([detail, *row.notes]))}"


@group.command()
@click.option("--margin", default=0.1, show_default=True, help="Percentage points of top-1 that may be lost.")
@click.option("--report", "folder", default="report", show_default=True, type=_FOLDER, help="Where the report goes.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Draw the table into this file, too.")
@_artifacts
@_results
@_device
def report(margin: float, folder: Path, svg: Path | None, artifacts: Path, results: Path, device: str) -> None:
    """Print one table per model, and which artifact to ship; write both as Markdown and JSON."""
    from device_tests import report as reports
    from device_tests.rows import rows

    groups = reports.group(rows(cells(device), artifacts_folder=artifacts, results_folder=results), margin)
    reports.show(groups, margin, out)
    written = reports.write(groups, margin, folder, svg)
    out.print(f"Written: {', '.join(map(str, written))}", soft_wrap=True)


@group.command()
@click.option("--verbose", is_flag=True, help="A line for every verdict, not only for broken budgets.")
@_artifacts
@_results
@_budgets
@_device
@click.pass_context
def check(context: click.Context, verbose: bool, artifacts: Path, results: Path, budgets: Path, device: str) -> None:
    """Hold the budgets against the results: exit code 0 where all are kept, 10 where one is broken."""
    from device_tests.rows import rows

    every = cells(device)
    limits = budget_file.load(budgets, tuple(cell.id for cell in every))
    verdicts = budget_file.check(limits, rows(every, artifacts_folder=artifacts, results_folder=results))
    for verdict in verdicts:
        if verbose or verdict.state == "fail" or verdict.says.startswith("healed"):
            colour = {"pass": "green", "fail": "red", "skipped": "yellow"}[verdict.state]
            says = f"{verdict.id} {verdict.metric}: {escape(verdict.says)}"
            out.print(f"[{colour}]{verdict.state}[/] {says}", soft_wrap=True)
    counts = Counter(verdict.state for verdict in verdicts)
    out.print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skipped']} skipped")
    if counts["fail"]:
        context.exit(BROKEN_BUDGET)


if __name__ == "__main__":
    console.main(group)
