"""`python -m device_tests shipping`: what each runtime costs an app besides its models."""

import shutil
from pathlib import Path

import click
from rich.table import Column, Table

from device_tests import current_results, devices
from device_tests.cells import Cell, require_artifacts
from device_tests.commands import options
from device_tests.contract import reason_of
from device_tests.machine_lock import MachineLock
from device_tests.measure.shipping import Started, start, subjects, weigh, weighed
from device_tests.results import shipping as footprints
from export.recipe import Recipe
from models.common import records
from models.common.console import err, out, plain, validated
from models.common.errors import EdgewiseError, EnvironmentMissing, Unsupported


def table(rows: tuple[footprints.Footprint, ...]) -> Table:
    """Return the rows for the terminal, the lightest runtime first."""
    models = ", ".join(sorted({Recipe.parse(row.artifact).model for row in rows}))
    names = ("libraries", "MB", "stripped MB", "gzip MB", "x model", "cold start ms", "peak memory MB")
    title = plain(f"What ships beside a model ({models}, float32), one process per start")
    drawn = Table("runtime", *(Column(name, justify="right") for name in names), "elsewhere", title=title)
    for row in sorted(rows, key=lambda r: r.compressed_bytes):
        sizes = (f"{size / 1e6:,.1f}" for size in (row.library_bytes, row.stripped_bytes, row.compressed_bytes))
        share = f"{row.stripped_bytes / row.model_bytes:,.0f}"
        start, peak = f"{row.cold_start_s * 1e3:,.0f}", f"{row.peak_rss_bytes / 1e6:,.0f}"
        drawn.add_row(plain(row.runtime), str(row.libraries), *sizes, share, start, peak, row.elsewhere)
    return drawn


@click.command()
@options.models
@options.artifacts
@options.beside(
    "--out",
    "target",
    name=f"results/{footprints.FILE}",
    kind=options.FILE,
    text="Where it is written; what it holds of runtimes that are not measured now is kept.",
)
def shipping(artifacts: Path, target: Path) -> None:
    """Measure what each runtime costs besides the model, print it and write it.

    The exit code is 1 where a runtime failed that is installed and whose format can hold the network, 4 where there is
    none.
    """
    validated()
    if not shutil.which("strip"):
        msg = "There is no `strip`, which tells a library's code from its symbols. Install it: apt-get install binutils"
        raise EnvironmentMissing(msg)
    require_artifacts(artifacts)
    every = subjects(artifacts)
    rows, failed = _measure_all(every, artifacts)
    if rows:
        out.print(table(tuple(rows)))
        heaviest = max(rows, key=lambda r: r.stripped_bytes)
        out.print(f"{heaviest.runtime} weighs most: {heaviest.stripped_bytes / 1e6:,.0f} MB of libraries for a model of "
                  f"{heaviest.model_bytes / 1e6:.2f} MB.")  # fmt: skip
        runtimes = {row.runtime for row in rows}
        others = (current_results.held(footprints.read, target) or {}).values()
        records.write(target, (*(row for row in others if row.runtime not in runtimes), *rows))
    if failed:
        lines = "".join(f"\n  {line}" for line in failed)
        raise EdgewiseError(f"{len(failed)} of {len(every)} runtimes could not be measured:{lines}")
    if not rows:
        msg = "Nothing was measured, for the reasons above. Install the runtimes with: nox -s device_tests"
        raise EnvironmentMissing(msg)


def _measure_all(every: tuple[Cell, ...], artifacts: Path) -> tuple[list[footprints.Footprint], list[str]]:
    """Return a row for each runtime that could be measured, and why installed ones could not."""
    started: dict[str, Started] = {}
    failed: list[str] = []
    machine = MachineLock(lambda text: err.print(plain(text)))
    for cell in every:
        try:
            devices.device(cell.device).require(cell.runtime)
            out.print(f"{plain(cell.id)} ...")
            started[cell.runtime] = start(cell, artifacts, machine)
        except (EnvironmentMissing, Unsupported) as error:
            out.print(f"[yellow]skipped[/] {plain(error)}", soft_wrap=True)
        except Exception as error:  # the others can still be measured
            failed.append(f"{cell.id}: {reason_of(error)}")
    if started:
        out.print("weighing their libraries ...")
    weights = weigh({library for run in started.values() for library in run.mapped})
    return [weighed(runtime, run, weights) for runtime, run in started.items()], failed
