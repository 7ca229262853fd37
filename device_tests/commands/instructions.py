"""`python -m device_tests instructions`: count the instructions of an inference under emulation."""

import time
from pathlib import Path

import click
from rich.table import Table

from device_tests import devices
from device_tests.cells import Cell, Names, cells, require_artifacts, timed
from device_tests.commands import named, options
from device_tests.contract import DESKTOP
from device_tests.measure import instructions as counter
from device_tests.results.instructions import InstructionCount
from models.common.console import out, plain, validated
from models.common.errors import EdgewiseError, UsageError


@click.command()
@options.runtimes
@options.only
@click.option("--force", is_flag=True, help="Count again what has a current count.")
@options.jobs(1, "Counted side by side.")
@options.seconds("timeout", 600.0, "Most seconds for one artifact.")
@options.devices("Count there; may be repeated.", default=(DESKTOP,), show_default=True)
@options.places
def instructions(
    runtimes: Names,
    patterns: Names,
    force: bool,
    jobs: int,
    timeout_s: float,
    chosen_devices: Names,
    artifacts: Path,
    results: Path,
) -> None:
    """Count the instructions of an inference under emulation: the same to the last digit, however busy the machine is.

    The exit code is 1 where an artifact could not be counted that is there and installed, 4 where nothing was counted on
    a device or runtime that was named, or nothing at all.
    """
    every = timed(cells(*chosen_devices))
    chosen = named.chosen(every, runtimes=runtimes, patterns=patterns, devices=chosen_devices)
    for name in chosen_devices:
        if not devices.device(name).counts:
            msg = f"Instructions are counted under qemu on this machine, not on {name}: --device desktop, or a core."
            raise UsageError(msg)
    validated()
    require_artifacts(artifacts)
    named.require(chosen, runtimes)

    began = time.perf_counter()
    ended = _count(chosen, artifacts, results, force=force, jobs=jobs, timeout_s=timeout_s)
    elapsed_s = time.perf_counter() - began
    counts = [ended[cell.id].count for cell in chosen]
    out.print(_table(counts))
    out.print(plain(f"{len(counts)} cells in {elapsed_s:.0f} s; counts in {results / 'instructions'}"), soft_wrap=True)
    if failed := [count for count in counts if count.outcome in ("load_failed", "run_failed", "timed_out")]:
        lines = "".join(f"\n  {count.id}: {count.outcome}: {count.reason}" for count in failed)
        raise EdgewiseError(f"{len(failed)} of {len(counts)} artifacts could not be counted:{lines}")
    lacking = {id: end.lacks for id, end in ended.items() if end.lacks}
    named.fail_on_nothing(chosen, lacking, runtimes=runtimes, devices=chosen_devices)


def _count(
    chosen: tuple[Cell, ...], artifacts: Path, results: Path, *, force: bool, jobs: int, timeout_s: float
) -> dict[str, counter.Ended]:
    finished: dict[str, counter.Ended] = {}
    with out.status("compiling the plugin") as status:

        def ended(end: counter.Ended) -> None:
            finished[end.count.id] = end
            current = " (current)" if end.current else ""
            status.update(f"{len(finished)} of {len(chosen)}, last {plain(end.count.id)}{current}")

        options = {"force": force, "jobs": jobs, "timeout_s": timeout_s, "ended": ended}
        counter.run(chosen, artifacts_folder=artifacts, results=results, **options)
    return finished


def _table(counts: list[InstructionCount]) -> Table:
    table = Table("artifact", "instructions", "spread", "s", "on", "says", title="instructions per inference")
    for column in table.columns[1:4]:
        column.justify = "right"
    for count in counts:
        remarks = "; ".join([count.reason or count.outcome, *count.notes])
        counted = (f"{count.instructions:,}", f"{count.spread:.2%}") if count.samples else ("", "")
        table.add_row(plain(count.id), *counted, f"{count.seconds:.0f}", plain(count.cpu), plain(remarks))
    return table
