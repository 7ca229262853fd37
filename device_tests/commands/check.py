"""`python -m device_tests check`: hold budgets and a baseline against the results."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click
from rich.markup import escape

from device_tests.cells import possible
from device_tests.commands import options
from device_tests.gates import baseline as baselines
from device_tests.gates import budgets as budget_file
from device_tests.gates import junit, summary
from models import files
from models.console import out
from models.errors import UsageError

BROKEN_BUDGET = 10


@click.command()
@click.option("--verbose", is_flag=True, help="A line for every verdict, not only for broken limits.")
@click.option(
    "--baseline",
    "against",
    type=options.NAME,
    metavar="FILE|REV",
    help="Compare with this file, or this revision's baseline.",
)
@click.option("--update-baseline", "update", is_flag=True, help=f"Write {baselines.FILE}: accept what is there.")
@click.option("--junit", "junit_file", type=options.FILE, help="Write JUnit XML: a case per cell and per budget.")
@click.option(
    "--summary", "summary_file", type=options.FILE, help="Write Markdown for a pull request: what broke or changed."
)
@options.artifacts
@options.results
@options.budgets
@options.device
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
    from device_tests.results.rows import found, rows

    if against and update:
        msg = "--baseline compares, --update-baseline accepts whatever there is: take one of them."
        raise UsageError(msg)
    known = baselines.load(against) if against else None
    every = found(results, chosen_devices)
    limits = budget_file.load(budgets, tuple({cell.id: None for cell in (*possible(), *every)}))
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
