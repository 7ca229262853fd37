"""`python -m device_tests instructions`: count the instructions of an inference under emulation."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from device_tests import devices
from device_tests.cells import cells, select
from device_tests.commands import options
from device_tests.contract import DESKTOP
from models.console import out
from models.errors import EdgewiseError


@click.command()
@options.runtimes
@options.only
@click.option("--force", is_flag=True, help="Count again what has a current count.")
@options.jobs(1, "Counted side by side.")
@options.timeout(600.0, "Most seconds for one artifact.")
@click.option(
    "--device",
    "chosen_devices",
    multiple=True,
    type=options.NAME,
    default=(DESKTOP,),
    show_default=True,
    metavar="NAME",
    help="Count there; may be repeated.",
)
@options.artifacts
@options.results
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
    from device_tests.measure import instructions as counter

    chosen = select(
        tuple(cell for name in chosen_devices for cell in cells(name)), runtimes=runtimes, patterns=patterns
    )
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
