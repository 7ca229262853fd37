"""`python -m device_tests`: run artifacts on runtimes, report what came of it, hold budgets against it."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from device_tests import baseline as baselines
from device_tests import browsers, devices, junit, summary
from device_tests import budgets as budget_file
from device_tests.cells import cells, possible, select
from device_tests.measurement import OUTCOMES, Measurement
from device_tests.measuring import instructions, latency
from models import console, files
from models.console import out
from models.errors import DataError, EdgewiseError, UsageError

BROKEN_BUDGET = 10
FINE = ("ok", "unsupported", "skipped")
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "yellow"}

_FOLDER = click.Path(path_type=Path, file_okay=False)
_only = click.option(
    "--only", "patterns", multiple=True, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE]."
)
_artifacts = click.option("--artifacts", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
_results = click.option("--results", default="results", show_default=True, type=_FOLDER, help="Where results are.")
_budgets = click.option(
    "--budgets",
    default="budgets.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Limits and expected outcomes.",
)
_device = click.option(
    "--device", "chosen_devices", multiple=True, metavar="NAME", help="Only this device; may be repeated."
)


@click.group()
def group() -> None:
    """Run artifacts on runtimes, report what came of it, and hold budgets against it."""


@group.command()
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime; may be repeated.")
@_only
@click.option("--quick", is_flag=True, help="Judge on the first 1,000 images.")
@click.option("--full", is_flag=True, help="Judge on all images on emulated devices, too; else on the first 1,000.")
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
    chosen_devices: tuple[str, ...],
    full: bool,
) -> None:
    """Run every artifact on every runtime that takes it, except where a current result is there.

    The exit code is 0 where each cell is ok, unsupported or skipped, or has the outcome that the budgets expect of it;
    1 where one failed otherwise.
    """
    every = tuple(cell for name in chosen_devices or (devices.DESKTOP,) for cell in cells(name))
    chosen = select(every, runtimes=runtimes, patterns=patterns)
    limits = budget_file.load(budgets, tuple({cell.id: None for cell in (*possible(), *every)}))
    console.validated()
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

    from device_tests import runner  # only here: listing needs none of it

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


@group.command()
@_only
@click.option("--margin", default=0.1, show_default=True, help="Percentage points of top-1 that may be lost.")
@click.option("--report", "folder", default="report", show_default=True, type=_FOLDER, help="Where the report goes.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Draw the table into this file, too.")
@_artifacts
@_results
@_device
def report(patterns: tuple[str, ...], margin: float, folder: Path, svg: Path | None, artifacts: Path, results: Path,
           chosen_devices: tuple[str, ...]) -> None:  # fmt: skip
    """Print one table per model, and which artifact to ship; write both as a page, Markdown and JSON."""
    from device_tests import report as reports
    from device_tests import shipped
    from device_tests.page import page
    from device_tests.rows import found, rows

    chosen = select(found(results, chosen_devices), runtimes=(), patterns=patterns)
    console.validated()
    made = rows(chosen, artifacts_folder=artifacts, results_folder=results)
    groups = reports.group(made, margin, shipped.read(results))
    reports.show(groups, margin, out)
    written = reports.write(groups, margin, folder, svg)
    written += (page.write(groups, margin, folder, artifacts_folder=artifacts, results_folder=results),)
    out.print(f"Written: {', '.join(map(str, written))}", soft_wrap=True)


_output = click.Path(path_type=Path, dir_okay=False)


@group.command()
@click.option("--verbose", is_flag=True, help="A line for every verdict, not only for broken limits.")
@click.option("--baseline", "against", metavar="FILE|REV", help="Compare with this file, or this revision's baseline.")
@click.option("--update-baseline", "update", is_flag=True, help=f"Write {baselines.FILE}: accept what is there.")
@click.option("--junit", "junit_file", type=_output, help="Write JUnit XML: a case per cell and per budget.")
@click.option(
    "--summary", "summary_file", type=_output, help="Write Markdown for a pull request: what broke or changed."
)
@_artifacts
@_results
@_budgets
@_device
@click.pass_context
def check(
    context: click.Context,
    verbose: bool,
    against: str | None,
    update: bool,
    junit_file: Path | None,
    summary_file: Path | None,
    artifacts: Path,
    results: Path,
    budgets: Path,
    chosen_devices: tuple[str, ...],
) -> None:
    """Hold the budgets, and a baseline, against the results.

    The exit code is 0 where all are kept, 10 where one is broken, another one where the check could not be made. On
    GitHub each broken budget is also an annotation of the budgets' file.
    """
    from device_tests.rows import found, rows

    if against and update:
        msg = "--baseline compares, --update-baseline accepts whatever there is: take one of them."
        raise UsageError(msg)
    known = baselines.load(against) if against else None
    every = found(results, chosen_devices)
    limits = budget_file.load(budgets, tuple({cell.id: None for cell in (*possible(), *every)}))
    console.validated()
    made = rows(every, artifacts_folder=artifacts, results_folder=results)
    verdicts = budget_file.check(limits, made)
    verdicts += budget_file.idle(limits, verdicts, made)
    changes = None if known is None else baselines.compare(made, known)
    both = (*verdicts, *(changes or ()))
    for verdict in both:
        if verbose or verdict.tells:
            colour = {"pass": "green", "fail": "red", "skipped": "yellow"}[verdict.state]
            says = escape(f"{verdict.id} {verdict.metric}: {verdict.says}")
            out.print(f"[{colour}]{verdict.state}[/] {says}", soft_wrap=True)
    if junit_file:
        junit.write(junit_file, made, limits, both)
    if summary_file:
        files.write_bytes(summary_file, summary.markdown(verdicts, changes).encode())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in summary.annotations(both, budgets):
            click.echo(line)
    if update:
        new = baselines.save(made, Path(baselines.FILE))
        out.print(f"Written: {baselines.FILE}, {new} cells are new in it")
    for title, held in (("budgets", verdicts), ("baseline", changes)):
        counts = Counter(verdict.state for verdict in held or ())
        if held is not None:
            same = f"{baselines.unchanged(made, known):,} sizes and costs as before, " if held is changes else ""
            out.print(f"{title}: {same}{counts['pass']} passed, {counts['fail']} failed, {counts['skipped']} skipped")
    if any(verdict.state == "fail" for verdict in both):
        context.exit(BROKEN_BUDGET)


group.add_command(browsers.add)
group.add_command(latency)
group.add_command(instructions)


if __name__ == "__main__":
    console.main(group)
