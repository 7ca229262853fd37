"""`python -m device_tests sweep`: which scheme pays on which phone core, and whether it answers there as on the desktop."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from device_tests import devices
from device_tests.cells import cells, select
from device_tests.commands import options
from device_tests.commands.instructions import instructions
from device_tests.commands.run import run
from device_tests.contract import DESKTOP, Command
from device_tests.devices import arm64
from device_tests.measure import divergence
from device_tests.results.measurement import Measurement
from device_tests.transport import bundle
from export import artifact as artifact_files
from export.schemes import SCHEMES
from models import console, environments, reference
from models.console import out
from models.errors import EdgewiseError, EnvironmentMissing

BROKEN = 1


@click.command()
@click.option(
    "--device", "cores", multiple=True, default=arm64.CORES, show_default=True, metavar="NAME", help="May be repeated."
)
@options.runtimes
@options.only
@click.option("--full", is_flag=True, help="Judge on all images; else on the first 1,000.")
@options.listing
@click.option("--force", is_flag=True, help="Run again what has a current result on the cores.")
@options.jobs(2, "Cells side by side.")
@options.artifacts
@options.results
@click.pass_context
def sweep(
    context: click.Context,
    cores: tuple[str, ...],
    runtimes: tuple[str, ...],
    patterns: tuple[str, ...],
    full: bool,
    listing: bool,
    force: bool,
    jobs: int,
    artifacts: Path,
    results: Path,
) -> None:
    """Run artifacts on emulated Arm cores and on the desktop, count their instructions and compare their answers.

    A core that cannot be had is skipped, which says what to install. The exit code is 1 where a cell failed that should
    not, or could not be counted.
    """
    every = tuple(cell for name in cores for cell in cells(name))
    chosen = select(every, runtimes=runtimes, patterns=patterns)
    if listing:
        for cell in chosen:
            click.echo(cell.id)
        return
    ready = _ready(tuple(dict.fromkeys(cell.device for cell in chosen)))
    chosen = tuple(cell for cell in chosen if cell.device in ready)
    if not chosen:
        return
    common = {
        "jobs": jobs,
        "artifacts": artifacts,
        "results": results,
    }
    beside = {"patterns": tuple(dict.fromkeys(f"{c.recipe.id}@{c.runtime}@{DESKTOP}" for c in chosen))}
    there = {"patterns": patterns, "runtimes": runtimes, "chosen_devices": ready, "force": force}
    broken = []
    for command, options in (
        # never by force: it would put a quick result in the place of a full one
        (run, {**beside, "chosen_devices": (DESKTOP,), "quick": not full}),
        (run, {**there, "full": full}),
        (instructions, there),
    ):
        try:
            context.invoke(command, **common, **options)
        except EdgewiseError as error:  # the others can still be compared
            broken.append(str(error))
    from device_tests.report import tables as report
    from device_tests.results.rows import rows

    made = rows(chosen, artifacts_folder=artifacts, results_folder=results)
    report.show(report.group(made, 0.0), 0.0, out)
    for line in differences(made, artifacts):
        out.print(escape(line), soft_wrap=True)
    for message in broken:
        console.err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    context.exit(BROKEN if broken else 0)


def differences(rows: tuple[Measurement, ...], artifacts: Path) -> list[str]:
    """Return what a table has no room for: how far logits lie apart, and where those of integers do at all.

    Schemes that are computed in integers promise the same bits everywhere; the sums of others depend on their order.
    """
    apart = [row for row in rows if row.compared and row.same < row.compared]
    integer = [row for row in apart if SCHEMES[row.artifact.rpartition("-")[2]].static]
    lines = [
        f"{row.id}: integers, yet {row.compared - row.same:,} of {row.compared:,} answers are other ones than on the "
        f"desktop, by up to {row.difference:.3g}; first for image {row.first_other}, in {_layer(row, artifacts)}"
        for row in integer
    ]
    floating = [row for row in apart if row not in integer]
    if floating:
        worst = max(floating, key=lambda row: row.difference)
        lines.append(
            f"Where floating point is computed, logits lie apart by up to {worst.difference:.3g} ({worst.id})."
        )
    return lines


def _layer(row: Measurement, folder: Path) -> str:
    if row.runtime != divergence.RUNTIME:
        return f"a layer that {row.runtime} has no means to show"
    here = Command(argv=(str(environments.python(row.runtime, install=f"nox -s 'device_tests({row.runtime})'")),))
    sidecar = artifact_files.sidecar_path(folder, row.artifact)
    file = folder / artifact_files.read(sidecar).file
    images = reference.load(reference.path(folder, row.artifact.split("-")[0])).images
    there = devices.device(row.device).python(row.runtime)
    try:
        return divergence.first_layer(file, sidecar, images[row.first_other], here, there)
    except EdgewiseError as error:  # the table and what failed are told all the same
        return f"a layer that cannot be told: {error}"


def _ready(cores: tuple[str, ...]) -> tuple[str, ...]:
    """Return the cores that can be emulated here, with the bundle built; say of the others why not."""
    ready = []
    for name in cores:
        try:
            bundle.build(arm64.ABI)
            devices.device(name).require(bundle.RUNTIMES[0])
            ready.append(name)
        except EnvironmentMissing as error:
            out.print(f"[yellow]skipped[/] {name}: {escape(str(error))}", soft_wrap=True)
    return tuple(ready)
