"""`python -m device_tests sweep`: which scheme pays on which phone core, and whether it answers there as on the desktop."""

from pathlib import Path

import click
from click.core import ParameterSource

from device_tests import devices
from device_tests.cells import Cell, cells
from device_tests.commands import named, options
from device_tests.commands.instructions import instructions
from device_tests.commands.run import run
from device_tests.contract import DESKTOP, Command
from device_tests.devices import arm64
from device_tests.measure import divergence
from device_tests.report import tables as report
from device_tests.report.groups import group
from device_tests.results.row import Row
from device_tests.rows import load, rows
from device_tests.transport import bundle
from export import artifact as artifact_files
from export.schemes import SCHEMES
from models import reference
from models.common import console, environments
from models.common.console import out, plain, validated
from models.common.errors import EdgewiseError, EnvironmentMissing


@click.command()
@options.devices("May be repeated.", "cores", click.Choice(arm64.NAMES), default=arm64.CORES, show_default=True)
@options.runtimes
@options.only
@click.option("--full", is_flag=True, help="Judge on all images; else on the first 1,000.")
@options.listing
@click.option("--force", is_flag=True, help="Run again what has a current result on the cores.")
@options.jobs(2, "Cells side by side.")
@options.places
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

    Further engines are left out, unless --only or --runtime names some.

    The exit code is 1 where a cell failed that should not, or could not be counted; 4 where a core that was named, or
    every core, cannot be had.
    """
    chosen = named.chosen(cells(*cores), runtimes=runtimes, patterns=patterns, devices=cores, quick=True)
    validated()
    if listing:
        for cell in chosen:
            click.echo(cell.id)
        return
    ready, missing = _ready(tuple(dict.fromkeys(cell.device for cell in chosen)))
    if missing and not ready:
        raise next(iter(missing.values()))
    chosen = tuple(cell for cell in chosen if cell.device in ready)
    if not chosen:
        return
    errors = _measure(context, chosen)
    _show(chosen, artifacts, results)
    if context.get_parameter_source("cores") is not ParameterSource.DEFAULT:
        errors += missing.values()
    for error in errors:
        console.err.print(f"[bold red]error:[/] {plain(error, lines=True)}", soft_wrap=True)
    context.exit(min((error.exit_code for error in errors), default=0))


def _measure(context: click.Context, chosen: tuple[Cell, ...]) -> list[EdgewiseError]:
    """Run the cells here and on the cores, and count instructions; return the errors, to compare the other cells."""
    common = {name: context.params[name] for name in ("jobs", "artifacts", "results")}
    full = context.params["full"]
    beside = tuple(dict.fromkeys(f"{c.recipe.id}@{c.runtime}@{DESKTOP}" for c in chosen))
    errors: list[EdgewiseError] = []
    try:  # never by force: it would put a quick result in the place of a full one
        context.invoke(run, patterns=beside, chosen_devices=(DESKTOP,), quick=not full, **common)
    except EnvironmentMissing as error:  # the desktop was not named; the cores' results count without it
        out.print(f"[yellow]skipped[/] {plain(error)}", soft_wrap=True)
    except EdgewiseError as error:
        errors.append(error)
    there = {name: context.params[name] for name in ("patterns", "runtimes", "force")}
    there["chosen_devices"] = tuple(dict.fromkeys(cell.device for cell in chosen))
    for command, more in ((run, {"full": full}), (instructions, {})):
        try:
            context.invoke(command, **common, **there, **more)
        except EdgewiseError as error:
            errors.append(error)
    return errors


def _show(chosen: tuple[Cell, ...], artifacts: Path, results: Path) -> None:
    all_rows = rows(chosen, load(results), artifacts_folder=artifacts, results_folder=results)
    report.show(group(all_rows, 0.0), 0.0, out)
    for line in differences(all_rows, artifacts):
        out.print(plain(line), soft_wrap=True)


def differences(rows: tuple[Row, ...], artifacts: Path) -> list[str]:
    """Return a sentence for each artifact in integers whose logits differ from the desktop's, and one for all floats.

    Integer schemes promise the same bits everywhere. Sums of floats depend on their order, so only the largest
    difference counts.
    """
    apart = [row for row in rows if row.compared and row.same < row.compared]
    integer = [row for row in apart if SCHEMES[row.recipe.scheme].static]
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


def _layer(row: Row, folder: Path) -> str:
    if row.runtime != divergence.RUNTIME:
        return f"a layer that {row.runtime} has no means to show"
    here = Command(argv=(str(environments.python(row.runtime, install=f"nox -s 'device_tests({row.runtime})'")),))
    sidecar = artifact_files.sidecar_path(folder, row.artifact)
    file = folder / artifact_files.read(sidecar).file
    images = reference.load(reference.path(folder, row.recipe.model)).images
    there = devices.device(row.device).python(row.runtime)
    try:
        return divergence.first_layer(file, sidecar, images[row.first_other], here, there)
    except EdgewiseError as error:  # the table and the errors are printed all the same
        return f"a layer that cannot be told: {error}"


def _ready(cores: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, EnvironmentMissing]]:
    """Return the cores that can be emulated here, and for each other core, printed too, why it cannot."""
    ready, missing = [], {}
    for name in cores:
        try:
            bundle.build(arm64.ABI)
            devices.device(name).require(bundle.RUNTIMES[0])
            ready.append(name)
        except EnvironmentMissing as error:
            missing[name] = error
            out.print(f"[yellow]skipped[/] {plain(name)}: {plain(error)}", soft_wrap=True)
    return tuple(ready), missing
