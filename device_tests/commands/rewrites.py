"""`python -m device_tests rewrites`: instructions and times of rewritten files, relative to the converter's own files."""

from pathlib import Path

import click
from rich.table import Table

from device_tests.cells import Names, cells, select
from device_tests.commands import options
from device_tests.contract import DESKTOP
from device_tests.devices import arm64
from device_tests.machine_lock import MachineLock
from device_tests.measure import rewrites as measure
from device_tests.results import rewrites as stored
from device_tests.results.bounds import GOAL_CORE
from device_tests.transport import bundle
from models.common.console import err, out, plain, validated
from models.common.errors import EdgewiseError

RUNTIME = "litert"  # whose kernels the rewrites are made for
CORES = ("cortex-a53", "cortex-a72", GOAL_CORE)


@click.command()
@options.only
@options.jobs(2, "Counted side by side.")
@options.seconds("timeout", 600.0, "Most seconds for one count.")
@options.seconds("limit", 20.0, "Most seconds for half a dozen pairs of files, which are timed twice at least.")
@click.option("--no-times", "untimed", is_flag=True, help="Count instructions only.")
@options.places
def rewrites(
    patterns: Names, jobs: int, timeout_s: float, limit_s: float, untimed: bool, artifacts: Path, results: Path
) -> None:
    """Compare rewritten files with the same files as the converter gave them, which are exported if need be.

    The exit code is 1 where rewrites do not pay: where an artifact executes no fewer instructions with them than without,
    in the geometric mean of the emulated cores.
    """
    every = tuple(cell for cell in cells() if cell.runtime == RUNTIME and cell.device == DESKTOP)
    candidates = select(every, runtimes=(), patterns=patterns)
    validated()
    chosen = measure.chosen(candidates, artifacts)
    if not chosen:
        out.print("None of these artifacts was rewritten.")
        return
    place = measure.Place(artifacts=artifacts, results=results)
    bundle.build(arm64.ABI)
    measure.convert((cell.recipe.id for cell in chosen), place)
    with out.status("counting") as status:
        pairs = measure.count(chosen, CORES, place, jobs=jobs, timeout_s=timeout_s,
                              ended=lambda id: status.update(f"counting, last {plain(id)}"))  # fmt: skip
        series = {}
        if not untimed:
            with MachineLock(lambda text: err.print(plain(text))).alone():
                series = measure.time(
                    chosen, place, limit_s=limit_s, report_progress=lambda text: status.update(plain(text))
                )
    records = [measure.record(cell, place, pairs[f"{cell.recipe.id}@{cell.runtime}"], series) for cell in chosen]
    for one in records:
        stored.save(one, results)
    out.print(_table(records))
    out.print(plain(f"Records in {stored.folder(results)}; the report shows them."), soft_wrap=True)
    if losing := [one for one in records if not one.pays]:
        lines = "".join(f"\n  {one.id}: {one.mean:.3f} of the instructions" for one in losing)
        raise EdgewiseError(f"The rewrites of {len(losing)} of {len(records)} artifacts do not pay:{lines}")


def _table(records: list[stored.Rewritten]) -> Table:
    """Return the figures of rewritten files relative to the converted ones; below 1 is less."""
    cpu = next((one.cpu for one in records if one.cpu), "")
    table = Table(
        "artifact", "rewrites", "bytes", *CORES, "mean", "latency here", "rounds",
        title="rewritten / as converted: bytes, instructions per inference" + (f", p50 on {plain(cpu)}" if cpu else ""),
    )  # fmt: skip
    for column in table.columns[2:]:
        column.justify = "right"
    for one in records:
        ratios = (f"{one.instructions[core].ratio:.3f}" if core in one.instructions else "" for core in CORES)
        latency = one.latency
        times = f"{latency.value:.3f} ({latency.low:.3f} to {latency.high:.3f})" if latency else "not timed"
        table.add_row(plain(one.artifact), ", ".join(one.rewrites), f"{one.bytes.ratio:.3f}", *ratios,
                      f"{one.mean:.3f}" if one.mean else "", times, str(one.rounds or ""))  # fmt: skip
    return table
