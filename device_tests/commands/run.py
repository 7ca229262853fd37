"""`python -m device_tests run`: run artifacts on runtimes and keep what came of each."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from device_tests import devices
from device_tests.cells import Cell, Names, cells, require_artifacts
from device_tests.commands import add, named, options
from device_tests.gates import budgets as budget_file
from device_tests.gates.verdicts import expected_outcomes
from device_tests.measure import runner
from device_tests.measure.runner import Bench, Ended
from device_tests.results.measurement import OUTCOMES
from models.common.console import err, out, plain, validated
from models.common.errors import EdgewiseError, UsageError

FINE = ("ok", "unsupported", "skipped")
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "yellow"}
EARLIER_RESULT = "the ok result of an earlier run of the same file and installation is kept"


@click.command()
@options.runtimes
@options.only
@click.option(
    "--quick",
    is_flag=True,
    help="Judge on the first 1,000 images; without further engines, unless --only or --runtime names some.",
)
@click.option("--full", is_flag=True, help="Judge on all images on emulated devices, too; else on the first 1,000.")
@options.listing
@click.option("--force", is_flag=True, help="Run again what has a current result.")
@options.jobs(2, "Answers judged side by side.")
@options.seconds("timeout", 120.0, "Seconds without a sign of life.")
@options.places
@options.budgets
@click.option(
    "--import",
    "imported",
    type=options.FILE,
    help="Only add what the Android app or the web demo saved to the results.",
)
@click.option("--clean", "cleans", is_flag=True, help="Only remove from the named devices what was ever put there.")
@options.devices("Run there; may be repeated.  [default: desktop]")
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
    imported: Path | None,
    cleans: bool,
) -> None:
    """Run every artifact on every runtime that takes it, except where a current result is there.

    The exit code is 0 where each cell is ok, unsupported or skipped, or has the outcome that the budgets expect of it;
    1 where one failed otherwise; 4 where nothing ran on a device or runtime that was named, or nothing at all.
    """
    if imported or cleans:
        if listing:
            raise UsageError("--import and --clean are done alone, and have nothing to list: leave out --list.")
        validated()
        _bring_or_clean(imported, artifacts, results, chosen_devices if cleans else ())
        return
    chosen = plan(runtimes, patterns, chosen_devices, quick=quick, full=full)
    if listing:
        validated()
        for cell in chosen:
            click.echo(cell.id)
        return
    limits = budget_file.beside(budgets, named.ids(cells(*chosen_devices))).budgets
    validated()
    require_artifacts(artifacts)
    named.require(chosen, runtimes)
    bench = Bench(artifacts=artifacts, results=results, quick=quick, full=full, force=force, timeout_s=timeout_s)
    ended_cells = _run(chosen, bench, jobs)
    _fail_on_failures(ended_cells, limits, budgets)
    lacking = {end.measurement.id: end.lacks for end in ended_cells if end.lacks}
    named.fail_on_nothing(chosen, lacking, runtimes=runtimes, devices=chosen_devices)


def _bring_or_clean(imported: Path | None, artifacts: Path, results: Path, cleaned: tuple[str, ...]) -> None:
    """Add a saved file to the results, or remove from devices what was put there; raises UsageError for neither."""
    if imported:
        add.bring(imported, artifacts, results)
        return
    able = [there for name in cleaned if hasattr(there := devices.device(name), "clean")]
    if len(able) < max(1, len(cleaned)):
        msg = "--clean goes with devices that something is put on: --device app:SERIAL, android:SERIAL or ssh:user@host"
        raise UsageError(msg)
    for there in able:
        there.clean()
        out.print(plain(f"Removed all of Edgewise from {there.name}"))


def plan(runtimes: Names, patterns: Names, chosen_devices: Names, *, quick: bool, full: bool) -> tuple[Cell, ...]:
    """Return the chosen cells; raises UsageError for a wrong choice before anything is read or started."""
    if quick and full:
        raise UsageError("--quick judges on the first 1,000 images, --full on all: take one of them.")
    every = cells(*chosen_devices)
    return named.chosen(every, runtimes=runtimes, patterns=patterns, devices=chosen_devices, quick=quick)


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise the errors that `run` would raise for its arguments, before anything is started for it."""
    with run.make_context("run", list(arguments)) as context:
        chosen = {name: context.params[name] for name in ("runtimes", "patterns", "chosen_devices", "quick", "full")}
        plan(**chosen)


def _run(chosen: tuple[Cell, ...], bench: Bench, jobs: int) -> list[Ended]:
    """Run the cells; print what becomes of each, a tally, and what the time was spent on."""
    started = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    ended_cells: list[Ended] = []
    with Progress(*columns, TextColumn("{task.fields[at]}"), console=out) as progress:
        task = progress.add_task("device_tests", total=len(chosen), at="")

        def begins(id: str) -> None:
            progress.update(task, at=plain(id))

        def ended(end: Ended) -> None:
            ended_cells.append(end)
            progress.advance(task)
            if not end.current:
                progress.console.print(f"{len(ended_cells):3}/{len(chosen)} {_describe(end)}", soft_wrap=True)

        spent = runner.run(
            chosen, bench, jobs=jobs, begins=begins, ended=ended, notify=lambda text: err.print(plain(text))
        )
    counts = Counter(end.measurement.outcome for end in ended_cells)
    tally = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]) or "no cell is chosen"
    current, elapsed_s = sum(end.current for end in ended_cells), time.perf_counter() - started
    out.print(plain(f"{tally}; {current} were current; {elapsed_s:.0f} s; results in {bench.results}"), soft_wrap=True)
    if not all(end.current for end in ended_cells):
        where = ", ".join(f"{purpose} {seconds:.0f} s" for purpose, seconds in spent.most_common())
        out.print(f"Where the time of {jobs} jobs went: {where}", soft_wrap=True)
    return ended_cells


def _fail_on_failures(ended_cells: list[Ended], limits: tuple[budget_file.Budget, ...], budgets: Path) -> None:
    failed = [
        f"\n  {row.id}: {row.outcome}: {row.reason}" + (f"; {EARLIER_RESULT}" if end.discarded else "")
        for end in ended_cells
        if (row := end.measurement).outcome not in FINE and row.outcome not in expected_outcomes(limits, row.id)
    ]
    if failed:
        expected = f"{len(failed)} of {len(ended_cells)} cells failed unexpectedly ({budgets} says what to expect)"
        raise EdgewiseError(f"{expected}:{''.join(failed)}")


def _describe(end: Ended) -> str:
    row = end.measurement
    colour = COLOURS.get(row.outcome, "red")
    if row.outcome == "ok":
        took = f", p50 {row.p50_ns / 1e3:,.0f} µs" if row.p50_ns else ""
        detail = f"top-1 {row.top1:.2%} of {row.total:,}, agree {row.agreement:.2%}{took}"
    else:
        detail = row.reason
    remarks = plain("; ".join([detail, *row.notes, *([EARLIER_RESULT] if end.discarded else [])]))
    return f"{row.seconds:6.1f} s [{colour}]{row.outcome}[/] {plain(row.id)}: {remarks}"
