"""`python -m device_tests latency`: compare artifacts in interleaved rounds, and print what came of each."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import click
import numpy as np
from msgspec import to_builtins
from rich.table import Column, Table

from device_tests import current_results, devices
from device_tests.cells import Cell, Names, cells, require_artifacts, timed
from device_tests.commands import named, options
from device_tests.contract import DESKTOP
from device_tests.machine_lock import MachineLock
from device_tests.measure import roofline, rounds
from device_tests.results import interleaved, measurement
from device_tests.results.interleaved import Roof, Summary
from device_tests.results.latency import NARROW, NO_DIFFERENCE, SLOWER, TOO_NOISY, Series, ratio
from models.common import files
from models.common.console import err, out, plain, validated
from models.common.errors import EdgewiseError, EnvironmentMissing, UsageError
from models.options import SEEDS

INCONCLUSIVE = ("run_failed", "timed_out", "skipped")  # the machine, or a missing file, may be the reason
QUANTILES = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99}
UNSETTLED = "its warm-up did not settle"
COLOURS = {"slower": "red", "faster": "green", "no difference": "cyan", "too noisy to say": "yellow"}


@click.command()
@options.runtimes
@options.only
@click.option(
    "--seed", type=SEEDS, default=0, show_default=True, help="Of the order in which rounds go over artifacts."
)
@options.seconds("limit", 60.0, "Most seconds for a dozen artifacts, which are timed twice at least.")
@click.option("--force", is_flag=True, help="Time again what was timed; replace a file that holds more artifacts.")
@click.option("--self-check", is_flag=True, help="Time one artifact against itself, and against itself 10 % slower.")
@options.places
def latency(
    runtimes: Names,
    patterns: Names,
    seed: int,
    limit_s: float,
    force: bool,
    self_check: bool,
    artifacts: Path,
    results: Path,
) -> None:
    """Time the artifacts of each runtime interleaved, until the intervals are narrow; the machine should be idle.

    The exit code is 1 where --self-check finds a difference that is not there, or misses the one that is, and where
    artifacts of a runtime could not be timed that were timed before: what is there is kept then, except with --force.
    It is 1 or 4 where nothing could be timed at all, on one runtime or on any.
    """
    chosen = named.chosen(timed(cells()), runtimes=runtimes, patterns=patterns)
    validated()
    require_artifacts(artifacts)
    named.require(chosen, runtimes)
    machine = MachineLock(lambda text: err.print(plain(text)))
    bench = Bench(results=results, machine=machine, seed=seed, limit_s=limit_s, force=force)
    if self_check:
        _check_method(chosen, artifacts, bench)
    else:
        _time_all(chosen, artifacts, bench)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all runtimes are timed with, and the folder that their files go into."""

    results: Path
    machine: MachineLock
    seed: int
    limit_s: float
    force: bool


def _time_all(chosen: tuple[Cell, ...], artifacts: Path, bench: Bench) -> None:
    """Time the cells runtime by runtime; raises EdgewiseError where one could not be timed, or none is installed."""
    files.require_folder(bench.results)
    files.sweep(bench.results)
    with bench.machine.alone():
        roofs = _roofs()
    installed = sorted(_installed(chosen), key=lambda cell: cell.runtime)
    failures = []
    for runtime, own in groupby(installed, key=lambda cell: cell.runtime):
        batches = [rounds.entrants(batch, artifacts) for batch in rounds.batches(tuple(own))]
        if failure := _time(runtime, batches, {cell.id for cell in chosen}, bench, roofs):
            failures.append(failure)
    if failures:
        raise EdgewiseError("\n".join(failures))
    if chosen and not installed:
        msg = "Nothing was timed: none of the runtimes is installed. Install them with: nox -s device_tests"
        raise EnvironmentMissing(msg)


def _roofs() -> dict[str, Roof]:
    """Return the peaks of one core by dtype; print why and return none where they cannot be measured."""
    try:
        roofs = roofline.measure()
    except EnvironmentMissing as error:
        out.print(f"[yellow]no share of the peak is told:[/] {plain(error)}", soft_wrap=True)
        return {}
    for roof in roofs.values():
        peak = f"{roof.macs_per_s / 1e9:,.1f} billion multiply-accumulates a second"
        out.print(f"one core's peak, {roof.dtype}: {peak}, {plain(roof.with_)}", soft_wrap=True)
    return roofs


def _time(runtime: str, batches: list, chosen: set[str], bench: Bench, roofs: dict[str, Roof]) -> str:
    """Time the batches of one runtime and write the file; return why nothing was written, "" where it was.

    An older file is replaced only if the new one has rounds of every artifact that the old one has rounds of, except
    where an artifact's file changed, or with force.
    """
    file = bench.results / "latency" / f"{runtime}@{DESKTOP}.json"
    taking_part = [entrant for able, _ in batches for entrant in able]
    key = rounds.key(runtime, taking_part, seed=bench.seed, limit_s=bench.limit_s)
    if not bench.force and _is_current(file, key, chosen):
        out.print(f"{runtime}: current, in {plain(file)}", soft_wrap=True)
        return ""
    rng, every = np.random.default_rng(bench.seed), []
    with out.status(runtime) as status:
        for able, unable in batches:
            every += unable
            if able:
                with bench.machine.alone():
                    every += rounds.measure(
                        able, rng=rng, limit_s=bench.limit_s, report_progress=lambda text: status.update(plain(text))
                    )
    table = summary(every, roofs)
    show(f"{runtime}, seed {bench.seed}", table, every)
    if not any(series.rounds_ns for series in every):
        return f"{runtime}: nothing could be timed, so nothing was written to {file}"
    if (lost := _lost(file, every)) and not bench.force:
        lines = "".join(f"\n  {series.id}: {series.outcome}: {series.reason}" for series in lost)
        return (
            f"{runtime}: {len(lost)} artifacts that were timed before could not be timed now, and {file} is left as it is. "
            f"Write elsewhere with --results FOLDER, or give them up with --force:{lines}"
        )
    date = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"runtime": runtime, "device": DESKTOP, "key": key, "seed": bench.seed, "limit_s": bench.limit_s}
    facts |= {"date": date, "roofs": list(roofs.values()), "summary": table, "series": every}
    files.write_json(file, to_builtins(facts))
    out.print(f"Written: {plain(file)}", soft_wrap=True)
    return ""


def _lost(file: Path, every: list[Series]) -> list[Series]:
    """Return the series without rounds of artifacts that the file has rounds of, where the machine may be the reason."""
    previous = current_results.held(interleaved.load, file)
    timed = {series.id: series.artifact_sha256 for series in previous.series if series.rounds_ns} if previous else {}
    failed = (series for series in every if not series.rounds_ns and series.outcome in INCONCLUSIVE)
    return [one for one in failed if one.id in timed and one.artifact_sha256 in ("", timed[one.id])]


def _installed(chosen: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return the cells whose runtime is installed; print how to install the other runtimes."""
    missing = set()
    for runtime in dict.fromkeys(cell.runtime for cell in chosen):
        try:
            devices.device(DESKTOP).require(runtime)
        except EnvironmentMissing as error:
            missing.add(runtime)
            out.print(f"[yellow]skipped[/] {plain(error)}", soft_wrap=True)
    return tuple(cell for cell in chosen if cell.runtime not in missing)


def _is_current(file: Path, key: str, chosen: set[str]) -> bool:
    """Tell whether the file of an earlier run is current; raises UsageError where this run would lose artifacts of it.

    Rounds of two runs are not comparable, so they cannot be put into one file.
    """
    previous = current_results.held(interleaved.load, file)
    if previous is None:
        return False
    if lost := {series.id for series in previous.series} - chosen:
        raise UsageError(
            f"{file} holds {len(lost)} artifacts that this run would not time, {min(lost)} among them, and times of two "
            "runs are not comparable. Write elsewhere with --results FOLDER, or give them up with --force."
        )
    # what ran out of memory or time may succeed the next time; a crash will not
    unsettled = any(s.outcome == "timed_out" or "SIGKILL" in s.reason for s in previous.series)
    return previous.key == key and not unsettled


def summary(every: list[Series], roofs: dict[str, Roof]) -> list[Summary]:
    """Return the statistics of each series."""
    by_id = {series.id: series for series in every}
    rows = []
    for series in every:
        facts = {}
        if series.rounds_ns:
            baseline = by_id.get(series.baseline)
            against = ratio(series, baseline) if baseline and baseline.rounds_ns else None
            roof, p50 = roofs.get(series.roof), series.quantile(0.5)
            facts = {
                **{name: series.quantile(share) for name, share in QUANTILES.items()},
                "roof": series.roof,
                "roof_share": roof.share(series.macs, p50.value) if roof and p50 and series.macs else None,
                "ratio": against,
                "verdict": against.verdict if against else "",
                "rounds": len(series.rounds_ns),
                "samples": series.per_inference_ns.size,
                "timer_share": series.timer_share,
            }
        rows.append(Summary(id=series.id, outcome=series.outcome, reason=series.reason, **facts))
    return rows


def show(title: str, rows: list[Summary], every: list[Series]) -> None:
    """Print the summary's rows, each with its series."""
    names = ("p50 µs", "p90 µs", "p99 µs", "against float32", "of peak")
    figures = (Column(name, justify="right", no_wrap=True) for name in names)
    table = Table(Column("artifact", no_wrap=True), *figures, "says", "rounds", "samples", title=title)
    for row, series in zip(rows, every, strict=True):
        table.add_row(*_columns(row, series))
    out.print(table)


def _columns(row: Summary, series: Series) -> tuple[str, ...]:
    if not row.rounds:
        colour = "red" if row.outcome == "mismatch" else "yellow"
        return (plain(row.id), *[""] * 5, f"[{colour}]{row.outcome}[/] {plain(row.reason)}", "", "")
    p50, ratio, verdict = row.p50_ns, row.ratio, row.verdict
    if p50 is None or p50.width > NARROW:
        verdict = f"{verdict}, p50 {TOO_NOISY}" if verdict and verdict != TOO_NOISY else TOO_NOISY
    against = f"{ratio.value:.3f} ({ratio.low:.3f}..{ratio.high:.3f})" if ratio else ""
    notes = (*(() if series.steady else (UNSETTLED,)), *series.notes)
    verdict = "; ".join((*([f"[{COLOURS.get(verdict, 'yellow')}]{verdict}[/]"] if verdict else []), *map(plain, notes)))
    peak = f"{row.roof_share:.1%} {row.roof}" if row.roof_share else ""
    counts = (f"{row.rounds:,}", f"{row.samples:,}")
    # times in µs with half the width of their intervals; the file has both bounds
    times = (f"{one.value / 1e3:,.1f} ± {one.width / 2:.1%}" if one else "" for one in (p50, row.p90_ns, row.p99_ns))
    return (plain(row.id), *times, against, peak, verdict, *counts)


def _check_method(chosen: tuple[Cell, ...], artifacts: Path, bench: Bench) -> None:
    """Time one artifact under three names; raises EdgewiseError unless A/A is equal and A/B differs."""
    a = _fastest(_installed(chosen), artifacts, bench.results)
    again = replace(a, id=f"{a.id} again", baseline=a.id)
    slower = replace(a, id=f"{a.id} 10 % slower", baseline=a.id, slowdown=0.1)
    rng = np.random.default_rng(bench.seed)
    with out.status(a.id) as status, bench.machine.alone():
        report = {"report_progress": lambda text: status.update(plain(text))}
        every = rounds.measure([a, again, slower], rng=rng, limit_s=bench.limit_s, **report)
    table = summary(list(every), {})
    show("self-check", table, list(every))
    verdicts = {row.id: row.verdict if row.rounds else row.reason for row in table}
    equal, differs = verdicts[again.id], verdicts[slower.id]
    if (equal, differs) != (NO_DIFFERENCE, SLOWER):
        msg = f"The method failed its check: A/A says {equal!r}, A/B says {differs!r}. Is the machine idle?"
        raise EdgewiseError(msg)
    out.print(f"A/A: {equal}; A/B with 10 % more work: {differs}")


def _fastest(chosen: tuple[Cell, ...], artifacts: Path, results: Path) -> rounds.Entrant:
    """Return the fastest of the cells, in float32 if there are any: of a fast one the most rounds fit into the limit.

    The fastest by earlier results, or the one with the fewest multiply-accumulates where there is none. Raises
    EdgewiseError where no cell can be timed.
    """
    if not chosen:
        msg = "No cell is chosen that can check the method. Choose one with --only, or none to take the fastest."
        raise UsageError(msg)
    able, unable = rounds.entrants(tuple(c for c in chosen if c.recipe.scheme == rounds.FLOAT) or chosen, artifacts)
    if not able:
        raise EdgewiseError(f"{unable[0].id} cannot be timed: {unable[0].reason}")
    stored = (current_results.held(measurement.read, measurement.path(results, entrant.id)) for entrant in able)
    timed = {one.id: one.p50_ns for one in stored if one and one.outcome == "ok" and one.p50_ns}
    if timed:
        return min((entrant for entrant in able if entrant.id in timed), key=lambda entrant: timed[entrant.id])
    return min(able, key=lambda entrant: entrant.macs or math.inf)
