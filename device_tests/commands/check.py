"""`python -m device_tests check`: hold budgets and a baseline against the results."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click

from device_tests.cells import select
from device_tests.commands import named, options
from device_tests.gates import baseline as baselines
from device_tests.gates import budgets as budget_file
from device_tests.gates import evidence, junit, summary
from device_tests.gates import verdicts as judged
from device_tests.results.row import Row
from device_tests.rows import cells_with_results, load, rows, that_ran
from models import networks
from models.common import files
from models.common.console import out, plain, validated
from models.common.errors import UsageError

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
@options.places
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
    _require_sense(against, update, junit_file, summary_file, budgets)
    validated()
    baseline = None if against is None else baselines.load(against)
    stored = load(results)
    every = cells_with_results(stored, chosen_devices)
    limits = budget_file.beside(budgets, named.ids(every))
    if budget_file.are_missing(budgets):
        out.print(plain(NO_BUDGETS.format(folder=budgets.parent)), soft_wrap=True)
    chosen = select(every, runtimes=(), patterns=patterns)
    checked = _that_ran(rows(chosen, stored, artifacts_folder=artifacts, results_folder=results))
    verdicts = judged.check(limits.budgets, checked)
    lacks = evidence.lacks(checked, limits.budgets, verdicts, missing=limits.missing if allow_missing else (),
                           named=chosen_devices, whole=not (chosen_devices or patterns))  # fmt: skip
    comparison = None if baseline is None else baselines.compare(checked, baseline)
    if comparison and not comparison.compared:
        lacks += (evidence.Lack(id="*", why=f"no figure could be compared with {against}"),)
    findings = Findings(checked, limits.budgets, verdicts + judged.shadowed(limits.budgets, checked), comparison, lacks)
    _show(findings, verbose)
    _write(findings, budgets, junit_file, summary_file)
    if update:
        new = baselines.save(checked, file := networks.default(baselines.FILE))
        out.print(plain(f"Written: {file}, {new} cells are new in it"), soft_wrap=True)
    context.exit(findings.exit_code)


def _require_sense(against: str | None, update: bool, *places: Path | None) -> None:
    """Raise UsageError where options contradict each other, or where what is written would replace what is read."""
    if against is not None and update:
        raise UsageError("--baseline compares, --update-baseline accepts whatever there is: take one of them.")
    baseline = Path(against) if against else networks.default(baselines.FILE) if update else None
    named_files = [place.absolute() for place in (*places, baseline) if place]
    if len(set(named_files)) < len(named_files):
        raise UsageError("--junit, --summary, --budgets and the baseline are one file twice: give each its own.")


@dataclass(frozen=True)
class Findings:
    """What a check found of rows: the budgets' verdicts, the comparison with a baseline, and what evidence is missing."""

    checked: tuple[Row, ...]
    budgets: tuple[budget_file.Budget, ...]
    verdicts: tuple[judged.Verdict, ...]
    comparison: baselines.Comparison | None
    lacks: tuple[evidence.Lack, ...]

    @property
    def changes(self) -> tuple[judged.Verdict, ...]:
        """The verdicts on figures that are not as in the baseline."""
        return self.comparison.verdicts if self.comparison else ()

    @property
    def exit_code(self) -> int:
        if any(verdict.state == "fail" for verdict in (*self.verdicts, *self.changes)):
            return BROKEN_BUDGET
        return NO_EVIDENCE if self.lacks else 0


def _that_ran(every: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows without those of engines that never ran, and print which engines these are."""
    checked = that_ran(every) or every
    if left_out := sorted({row.runtime for row in every} - {row.runtime for row in checked}):
        out.print(f"Not checked, for none of their cells has run: {', '.join(left_out)}", soft_wrap=True)
    return checked


def _show(findings: Findings, verbose: bool) -> None:
    """Print the verdicts that a person must see, or all of them, and the tallies."""
    for verdict in (*findings.verdicts, *findings.changes):
        if verbose or verdict.tells:
            line = plain(f"{verdict.id} {verdict.metric}: {verdict.message}")
            out.print(f"[{COLOURS[verdict.state]}]{verdict.state}[/] {line}", soft_wrap=True)
    for lack in findings.lacks:
        out.print(f"[red]no evidence[/] {plain(f'{lack.id}: {lack.why}')}", soft_wrap=True)
    out.print(f"budgets: {_tally(findings.verdicts)}", soft_wrap=True)
    if findings.comparison:
        unchanged = findings.comparison.unchanged
        out.print(f"baseline: {unchanged:,} sizes and costs as before, {_tally(findings.changes)}", soft_wrap=True)
    if findings.lacks:
        out.print("There is not enough evidence to say that all is kept; the lines above say what is missing.")


def _write(findings: Findings, budgets: Path, junit_file: Path | None, summary_file: Path | None) -> None:
    """Write the files that were named, and GitHub's annotations where it runs this."""
    both = (*findings.verdicts, *findings.changes)
    if junit_file:
        junit.write(junit_file, findings.checked, findings.budgets, both, findings.lacks)
    if summary_file:
        text = summary.markdown(findings.verdicts, findings.comparison, findings.lacks)
        files.write_bytes(summary_file, text.encode())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in summary.annotations(both, findings.lacks, budgets):
            click.echo(line)


def _tally(verdicts: tuple[judged.Verdict, ...]) -> str:
    counts = Counter(verdict.state for verdict in verdicts)
    unmeasured = sum(verdict.unmeasured for verdict in verdicts)
    return (
        f"{counts['pass']:,} passed, {counts['fail']:,} failed, {counts['skipped']:,} skipped, "
        f"{unmeasured:,} of them for want of a measurement"
    )
