"""`python -m device_tests check`: hold budgets and a baseline against the results."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click

from device_tests.cells import select
from device_tests.commands import named, options
from device_tests.gates import baseline as baselines
from device_tests.gates import budgets as budget_file
from device_tests.gates import evidence, junit, summary
from device_tests.gates import verdicts as judged
from device_tests.gates.verdicts import Verdict
from device_tests.rows import found, load, rows, that_ran
from models import files, networks
from models.console import out, plain, validated
from models.errors import UsageError

BROKEN_BUDGET = 10  # exit codes
NO_EVIDENCE = 11
NO_BUDGETS = (
    "No budgets beside the networks: only outcomes were checked. To hold figures, copy the rows that you mean to keep from "
    "Edgewise's own budgets.toml to {folder}, and name your networks in them."
)
COLOURS = {"pass": "green", "fail": "red", "skipped": "yellow"}


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
@click.option("--allow-missing", is_flag=True, help="Accept to be unmeasured what [[missing]] in the budgets names.")
@options.only
@options.models
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
    allow_missing: bool,
    patterns: tuple[str, ...],
    artifacts: Path,
    results: Path,
    budgets: Path,
    chosen_devices: tuple[str, ...],
) -> None:
    """Hold the budgets, and a baseline, against the results.

    The exit code is 0 where all are kept, 10 where one is broken, 11 where there is not enough evidence to say so, and
    another one where the check could not be made. On GitHub each broken budget is also an annotation of the budgets'
    file.
    """
    if against is not None and update:
        msg = "--baseline compares, --update-baseline accepts whatever there is: take one of them."
        raise UsageError(msg)
    validated()
    baseline = None if against is None else baselines.load(against)
    known = load(results)
    every = found(known, chosen_devices)
    limits = budget_file.beside(budgets, named.ids(every))
    if budget_file.are_missing(budgets):
        out.print(plain(NO_BUDGETS.format(folder=budgets.parent)), soft_wrap=True)
    chosen = select(every, runtimes=(), patterns=patterns)
    every_row = rows(chosen, known, artifacts_folder=artifacts, results_folder=results)
    made = that_ran(every_row) or every_row
    if left_out := sorted({row.runtime for row in every_row} - {row.runtime for row in made}):
        out.print(f"Not checked, for none of their cells has run: {', '.join(left_out)}", soft_wrap=True)
    kept = judged.check(limits.budgets, made)
    verdicts = (*kept, *judged.shadowed(limits.budgets, made))
    comparison = None if baseline is None else baselines.compare(made, baseline)
    lacks = evidence.lacks(
        made,
        limits.budgets,
        kept,
        missing=limits.missing if allow_missing else (),
        named=chosen_devices,
        whole=not (chosen_devices or patterns),
    )
    if comparison and not comparison.compared:
        lacks += (evidence.Lack(id="*", why=f"no figure could be compared with {against}"),)

    _show(verdicts, comparison, lacks, verbose)
    both = (*verdicts, *(comparison.verdicts if comparison else ()))
    if junit_file:
        junit.write(junit_file, made, limits.budgets, both, lacks)
    if summary_file:
        files.write_bytes(summary_file, summary.markdown(verdicts, comparison, lacks).encode())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in summary.annotations(both, lacks, budgets):
            click.echo(line)
    if update:
        file = networks.default(baselines.FILE)
        new = baselines.save(made, file)
        out.print(plain(f"Written: {file}, {new} cells are new in it"), soft_wrap=True)
    if any(verdict.state == "fail" for verdict in both):
        context.exit(BROKEN_BUDGET)
    if lacks:
        context.exit(NO_EVIDENCE)


def _show(
    verdicts: tuple[Verdict, ...],
    comparison: baselines.Comparison | None,
    lacks: tuple[evidence.Lack, ...],
    verbose: bool,
) -> None:
    changes = comparison.verdicts if comparison else ()
    for verdict in (*verdicts, *changes):
        if verbose or verdict.tells:
            line = plain(f"{verdict.id} {verdict.metric}: {verdict.says}")
            out.print(f"[{COLOURS[verdict.state]}]{verdict.state}[/] {line}", soft_wrap=True)
    for lack in lacks:
        out.print(f"[red]no evidence[/] {plain(f'{lack.id}: {lack.why}')}", soft_wrap=True)
    out.print(f"budgets: {_tally(verdicts)}", soft_wrap=True)
    if comparison:
        out.print(f"baseline: {comparison.unchanged:,} sizes and costs as before, {_tally(changes)}", soft_wrap=True)
    if lacks:
        out.print("There is not enough evidence to say that all is kept; the lines above say what is missing.")


def _tally(verdicts: tuple[Verdict, ...]) -> str:
    counts = Counter(verdict.state for verdict in verdicts)
    unmeasured = sum(verdict.unmeasured for verdict in verdicts)
    return (
        f"{counts['pass']:,} passed, {counts['fail']:,} failed, {counts['skipped']:,} skipped, "
        f"{unmeasured:,} of them for want of a measurement"
    )
