"""`python -m device_tests.sweep`: which scheme pays on which phone core, and whether it answers there as on the desktop."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from device_tests import bundle, devices, divergence
from device_tests.__main__ import run
from device_tests.cells import cells, select
from device_tests.devices import DESKTOP, Command, arm64
from device_tests.measurement import Measurement
from device_tests.measuring import instructions
from export import artifact as artifact_files
from export.schemes import SCHEMES
from models import console, environments, reference
from models.console import out
from models.errors import EdgewiseError, EnvironmentMissing

_FOLDER = click.Path(path_type=Path, file_okay=False)
BROKEN = 1


@click.command()
@click.option(
    "--device", "cores", multiple=True, default=arm64.CORES, show_default=True, metavar="NAME", help="May be repeated."
)
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime; may be repeated.")
@click.option("--only", "patterns", multiple=True, metavar="GLOB", help="Only these: ARTIFACT[@RUNTIME@DEVICE].")
@click.option("--full", is_flag=True, help="Judge on all images; else on the first 1,000.")
@click.option("--list", "listing", is_flag=True, help="List the cells and end.")
@click.option("--force", is_flag=True, help="Run again what has a current result on the cores.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Cells side by side.")
@click.option("--artifacts", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
@click.option("--results", default="results", show_default=True, type=_FOLDER, help="Where results are.")
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
    console.validated()
    if listing:
        for cell in chosen:
            click.echo(cell.id)
        return
    ready = _ready(tuple(dict.fromkeys(cell.device for cell in chosen)))
    chosen = tuple(cell for cell in chosen if cell.device in ready)
    if not chosen:
        msg = "Nothing was run: none of the cores can be emulated here, as is said above."
        raise EnvironmentMissing(msg)
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
    from device_tests import report
    from device_tests.rows import rows

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


if __name__ == "__main__":
    console.main(sweep)
