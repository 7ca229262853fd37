"""The commands that measure what an artifact costs: `latency` and `instructions`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from device_tests import devices
from device_tests.cells import cells, select
from models import console, files
from models.console import out
from models.errors import EdgewiseError, EnvironmentMissing, UsageError

if TYPE_CHECKING:
    from device_tests.cells import Cell
    from device_tests.latency import Interval, Series
    from device_tests.roofline import Roof

_FOLDER = click.Path(path_type=Path, file_okay=False)
_artifacts = click.option("--artifacts", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
_results = click.option("--results", default="results", show_default=True, type=_FOLDER, help="Where results are.")
_runtimes = click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime; may be repeated."
)
_only = click.option(
    "--only", "patterns", multiple=True, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE]."
)
COLOURS = {"slower": "red", "faster": "green", "no difference": "cyan", "too noisy to say": "yellow"}


@click.command()
@_runtimes
@_only
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which rounds go over artifacts.")
@click.option("--limit", "limit_s", default=60.0, show_default=True, help="Most seconds for a dozen artifacts.")
@click.option("--force", is_flag=True, help="Time again what was timed; replace a file that holds more artifacts.")
@click.option("--self-check", is_flag=True, help="Time one artifact against itself, and against itself 10 % slower.")
@_artifacts
@_results
def latency(
    runtimes: tuple[str, ...],
    patterns: tuple[str, ...],
    seed: int,
    limit_s: float,
    force: bool,
    self_check: bool,
    artifacts: Path,
    results: Path,
) -> None:
    """Time the artifacts of each runtime interleaved, until the intervals are narrow; the machine should be idle.

    The exit code is 1 where --self-check finds a difference that is not there, or misses the one that is.
    """
    import numpy as np

    from device_tests import roofline, rounds

    chosen = select(cells(), runtimes=runtimes, patterns=patterns)
    console.validated()
    if self_check:
        _check_method(chosen, artifacts, np.random.default_rng(seed), limit_s)
        return
    try:
        roofs = roofline.measure()
    except EnvironmentMissing as error:
        out.print(f"[yellow]no share of the peak is told:[/] {escape(str(error))}", soft_wrap=True)
        roofs = {}
    for roof in roofs.values():
        peak = f"{roof.macs_per_s / 1e9:,.1f} billion multiply-accumulates a second"
        out.print(f"one core's peak, {roof.dtype}: {peak}, {roof.with_}", soft_wrap=True)
    with files.storage_errors(results):
        results.mkdir(parents=True, exist_ok=True)
    files.sweep(results)
    for runtime, batches in _to_time(chosen, artifacts, required=bool(runtimes)):
        file = results / "latency" / f"{runtime}@{devices.DESKTOP}.json"
        key = rounds.key(runtime, [entrant for able, _ in batches for entrant in able], seed=seed, limit_s=limit_s)
        if not force and _is_kept(file, key, {cell.id for cell in chosen}):
            out.print(f"{runtime}: current, in {file}", soft_wrap=True)
            continue
        rng, every = np.random.default_rng(seed), []
        with out.status(runtime) as status:
            for able, unable in batches:
                every += (*unable, *rounds.measure(able, rng=rng, limit_s=limit_s, says=status.update))
        table = summary(every, roofs)
        _show(f"{runtime}, seed {seed}", table)
        date = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"runtime": runtime, "device": devices.DESKTOP, "key": key, "seed": seed, "limit_s": limit_s}
        facts |= {"date": date, "roofs": [asdict(roof) for roof in roofs.values()]}
        files.write_json(file, {**facts, "summary": table, "series": [asdict(series) for series in every]})
        out.print(f"Written: {file}", soft_wrap=True)


def _to_time(chosen: tuple[Cell, ...], artifacts: Path, *, required: bool) -> Iterator[tuple[str, list]]:
    """Yield each runtime with the batches that are timed together; raises EnvironmentMissing where it is `required`."""
    from device_tests import rounds

    for runtime, found in groupby(sorted(chosen, key=lambda cell: cell.runtime), key=lambda cell: cell.runtime):
        try:
            devices.device(devices.DESKTOP).require(runtime)
        except EnvironmentMissing as error:
            if required:
                raise
            out.print(f"[yellow]skipped[/] {escape(str(error))}", soft_wrap=True)
            continue
        yield runtime, [rounds.entrants(batch, artifacts) for batch in rounds.batches(tuple(found))]


def _is_kept(file: Path, key: str, chosen: set[str]) -> bool:
    """Tell whether an earlier run's file is current; raises UsageError where this run would lose what it holds.

    Rounds of two runs are not comparable, so they cannot be put together.
    """
    try:
        known = json.loads(file.read_text())
        lost = {series["id"] for series in known["series"]} - chosen
    except (OSError, ValueError, KeyError, TypeError):
        return False  # there is none, or it is broken and will be replaced
    if lost:
        msg = (
            f"{file} holds {len(lost)} artifacts that this run would not time, {min(lost)} among them, and times of two "
            "runs are not comparable. Write elsewhere with --results FOLDER, or give them up with --force."
        )
        raise UsageError(msg)
    # what the kernel killed, for want of memory, or the clock may end well the next time; a crash of its own will not
    unsettled = any(s.get("outcome") == "timed_out" or "SIGKILL" in s.get("reason", "") for s in known["series"])
    return known.get("key") == key and not unsettled


def summary(every: list[Series], roofs: dict[str, Roof]) -> list[dict]:
    """Return a row per series: its quantiles in ns and its ratio to the float32 row, each with its interval.

    `roof_share` is the share of one core's peak, `roof` of which dtype, that the median reaches.
    """
    from device_tests.latency import ratio

    by_id = {series.id: series for series in every}
    rows = []
    for series in every:
        row = {"id": series.id, "outcome": series.outcome, "reason": series.reason}
        if series.rounds_ns:
            baseline = by_id.get(series.baseline)
            against = ratio(series, baseline) if baseline and baseline.rounds_ns else None
            shares = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99}
            roof, p50 = roofs.get(series.roof), series.quantile(0.5)
            row |= {
                **{name: series.quantile(share) for name, share in shares.items()},
                "roof": series.roof,
                "roof_share": roof.share(series.macs, p50.value) if roof and p50 and series.macs else None,
                "ratio": against,
                "verdict": against.verdict if against else "",
                "rounds": len(series.rounds_ns),
                "samples": series.per_inference_ns.size,
                "timer_share": series.timer_share,
            }
            row |= {name: asdict(row[name]) if row[name] else None for name in (*shares, "ratio")}
        rows.append(row)
    return rows


@click.command()
@_runtimes
@_only
@click.option("--force", is_flag=True, help="Count again what has a current count.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Counted side by side.")
@click.option("--timeout", "timeout_s", default=600.0, show_default=True, help="Most seconds for one artifact.")
@click.option(
    "--device",
    "chosen_devices",
    multiple=True,
    default=(devices.DESKTOP,),
    show_default=True,
    metavar="NAME",
    help="Count there; may be repeated.",
)
@_artifacts
@_results
def instructions(
    runtimes: tuple[str, ...],
    patterns: tuple[str, ...],
    force: bool,
    jobs: int,
    timeout_s: float,
    chosen_devices: tuple[str, ...],
    artifacts: Path,
    results: Path,
) -> None:
    """Count the instructions of an inference under emulation: the same to the last digit, however busy the machine is.

    The exit code is 1 where an artifact could not be counted that is there and installed.
    """
    from device_tests import instructions as counter

    chosen = select(
        tuple(cell for name in chosen_devices for cell in cells(name)), runtimes=runtimes, patterns=patterns
    )
    console.validated()
    for runtime, device in {(cell.runtime, cell.device) for cell in chosen if runtimes}:
        devices.device(device).require(runtime)
    began = time.perf_counter()
    counts: dict[str, counter.Count] = {}
    with out.status("compiling the plugin") as status:

        def ended(count: counter.Count, current: bool) -> None:
            counts[count.id] = count
            status.update(f"{len(counts)} of {len(chosen)}, last {escape(count.id)}{' (current)' if current else ''}")

        counter.run(
            chosen,
            artifacts_folder=artifacts,
            results=results,
            force=force,
            jobs=jobs,
            timeout_s=timeout_s,
            ended=ended,
        )
    elapsed_s = time.perf_counter() - began
    table = Table("artifact", "instructions", "spread", "s", "on", "says", title="instructions per inference")
    for column in table.columns[1:4]:
        column.justify = "right"
    for cell in chosen:
        count = counts[cell.id]
        says = "; ".join([count.reason or count.outcome, *count.notes])
        counted = (f"{count.instructions:,}", f"{count.spread:.2%}") if count.samples else ("", "")
        table.add_row(cell.id, *counted, f"{count.seconds:.0f}", count.cpu, escape(says))
    out.print(table)
    out.print(f"{len(counts)} cells in {elapsed_s:.0f} s; counts in {results / 'instructions'}", soft_wrap=True)
    failed = [count for count in counts.values() if count.outcome in ("load_failed", "run_failed", "timed_out")]
    if failed:
        lines = "".join(f"\n  {count.id}: {count.outcome}: {count.reason}" for count in failed)
        msg = f"{len(failed)} of {len(counts)} artifacts could not be counted:{lines}"
        raise EdgewiseError(msg)


def _check_method(chosen: tuple, artifacts: Path, rng, limit_s: float) -> None:
    """Time one artifact under three names; raises EdgewiseError unless A/A is equal and A/B differs."""
    from dataclasses import replace

    from device_tests import rounds
    from device_tests.latency import NO_DIFFERENCE, SLOWER

    if not chosen:
        msg = "No cell is chosen to check the method with. Choose one with --only, or none to take the first."
        raise UsageError(msg)
    devices.device(devices.DESKTOP).require(chosen[0].runtime)
    able, unable = rounds.entrants(chosen[:1], artifacts)
    if unable:
        msg = f"{unable[0].id} cannot be timed: {unable[0].reason}"
        raise EdgewiseError(msg)
    (a,) = able
    again = replace(a, id=f"{a.id} again", baseline=a.id)
    slower = replace(a, id=f"{a.id} 10 % slower", baseline=a.id, slowdown=0.1)
    with out.status(a.id) as status:
        every = rounds.measure([a, again, slower], rng=rng, limit_s=limit_s, says=status.update)
    table = summary(list(every), {})
    _show("self-check", table)
    found = {row["id"]: row.get("verdict", row["reason"]) for row in table}
    if (found[again.id], found[slower.id]) != (NO_DIFFERENCE, SLOWER):
        msg = f"The method failed its check: A/A says {found[again.id]!r}, A/B says {found[slower.id]!r}. Is the machine idle?"
        raise EdgewiseError(msg)
    out.print(f"A/A: {found[again.id]}; A/B with 10 % more work: {found[slower.id]}")


def _show(title: str, rows: list[dict]) -> None:
    from device_tests.latency import NARROW, TOO_NOISY, Interval

    table = Table(title=title)
    table.add_column("artifact", no_wrap=True)
    for name in ("p50 µs", "p90 µs", "p99 µs", "against float32"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("of peak", justify="right", no_wrap=True)
    for name in ("says", "rounds", "samples"):
        table.add_column(name)
    for row in rows:
        if "rounds" not in row:
            table.add_row(row["id"], *[""] * 5, f"[yellow]{row['outcome']}[/] {escape(row['reason'])}", "", "")
            continue
        columns = ("p50_ns", "p90_ns", "p99_ns", "ratio")
        p50, p90, p99, ratio = (Interval(**row[name]) if row[name] else None for name in columns)
        says = row["verdict"]
        if p50 is None or p50.width > NARROW:
            says = f"{says}, p50 {TOO_NOISY}" if says and says != TOO_NOISY else TOO_NOISY
        against = f"{ratio.value:.3f} ({ratio.low:.3f}..{ratio.high:.3f})" if ratio else ""
        says = f"[{COLOURS.get(says, 'yellow')}]{says}[/]"
        peak = f"{row['roof_share']:.1%} {row['roof']}" if row["roof_share"] else ""
        counts = (f"{row['rounds']:,}", f"{row['samples']:,}")
        table.add_row(row["id"], *map(_us, (p50, p90, p99)), against, peak, says, *counts)
    out.print(table)


def _us(found: Interval | None) -> str:
    """Return a time in µs with half the width of its interval; the bounds themselves are in the file."""
    return f"{found.value / 1e3:,.1f} ± {found.width / 2:.1%}" if found else ""
