"""`python -m device_tests npu`: which .tflite files an Ethos-U takes, and what vela estimates of them."""

from functools import partial
from pathlib import Path

import click
from rich.table import Column, Table

from device_tests import current_results, pool
from device_tests.cells import require_artifacts
from device_tests.commands import named, options
from device_tests.measure.npu import TOO_LONG, compile_artifact
from device_tests.results import npu as records
from device_tests.results.npu import LABEL, Npu
from export import artifact as artifact_files
from export import matrix
from export.recipe import Recipe
from export.schemes import SCHEMES
from models.common import environments, files
from models.common.console import out, plain, validated
from models.common.errors import DataError, UsageError

fail = partial(named.fail, word="not for this NPU", summary="integer files do not get to the NPU")


@click.command()
@options.only
@click.option("--list", "listing", is_flag=True, help="List the artifacts and end.")
@click.option("--force", is_flag=True, help="Compile again what has a current record.")
@options.jobs(2, "Compilations side by side.")
@options.places
def npu(patterns: tuple[str, ...], listing: bool, force: bool, jobs: int, artifacts: Path, results: Path) -> None:
    """Compile .tflite artifacts with vela for Arm's Ethos-U, and keep its estimates for the report.

    The exit code is 1 where a scheme with integer activations crashes vela or stays on the CPU whole; of your own
    networks that is only told. Others cannot go to such an NPU, and their rows say what became of them.
    """
    chosen = select(patterns)
    validated()
    if listing:
        for recipe in chosen:
            click.echo(recipe.id)
        return
    require_artifacts(artifacts)
    environments.python(current_results.VELA, install="nox -s npu")
    with files.storage_errors(results):
        (results / "npu").mkdir(parents=True, exist_ok=True)
    compiled, refused = _compile_all(chosen, artifacts, results, force=force, jobs=jobs)
    if compiled:
        out.print(_table(compiled))
        out.print(f"{LABEL} of each: nothing ran on an NPU. Written to {plain(results / 'npu')}", soft_wrap=True)
    for line in refused:
        out.print(f"[yellow]not compiled[/] {plain(line)}", soft_wrap=True)
    if chosen and not compiled:
        raise DataError(f"Nothing was compiled: {refused[0]}")
    compiled_ids = {one.artifact for one in compiled}
    lacking = [one.id for one in chosen if SCHEMES[one.scheme].static and one.id not in compiled_ids]
    fail([*broken(compiled), *(f"{id}: not compiled, as is said above" for id in lacking)])


def select(patterns: tuple[str, ...]) -> tuple[Recipe, ...]:
    """Return the .tflite recipes that the globs name, all for none; raises UsageError where they name none."""
    chosen = tuple(recipe for recipe in matrix.select(patterns) if recipe.format == "tflite")
    if patterns and not chosen:
        raise UsageError(f"--only {patterns[0]!r} names no .tflite artifact, and vela takes no others.")
    return chosen


def _compile_all(
    chosen: tuple[Recipe, ...], folder: Path, results: Path, *, force: bool, jobs: int
) -> tuple[list[Npu], list[str]]:
    """Return the records, new or current, and for each artifact without one the reason."""

    def one(recipe: Recipe) -> Npu | str:
        try:
            artifact = artifact_files.read(artifact_files.sidecar_path(folder, recipe.id))
            record = None if force else current_results.npu(results, artifact)
            if record is None or any(target.reason == TOO_LONG for target in record.compiled):
                record = compile_artifact(artifact, folder)
                records.save(record, results)
        except DataError as error:
            return str(error)
        return record

    outcomes: dict[Recipe, Npu | str] = {}
    with out.status("vela"):
        pool.run_all(chosen, lambda recipe: (recipe, one(recipe)), lambda end: outcomes.update([end]), sizes={"": jobs})
    ordered = [outcomes[recipe] for recipe in chosen]
    return [one for one in ordered if isinstance(one, Npu)], [one for one in ordered if isinstance(one, str)]


def broken(compiled: list[Npu]) -> list[str]:
    """Return a line for each file with integer activations that crashes vela, or of which the NPU takes nothing."""
    return [
        f"{one.artifact} for {target.accelerator}: {target.reason}"
        for one in compiled
        if SCHEMES[Recipe.parse(one.artifact).scheme].static
        for target in one.compiled
        if target.outcome != "ok"
    ]


def _table(compiled: list[Npu]) -> Table:
    names = (Column(name, no_wrap=True) for name in ("artifact", "accelerator"))
    figures = ("NPU %", "SRAM KiB", "flash KiB", "inferences/s")
    columns = (*names, *(Column(name, justify="right", no_wrap=True) for name in figures), "left on the CPU, or why")
    table = Table(*columns, title=f"Ethos-U: operators on the NPU, and {LABEL}")
    for one in compiled:
        for target in one.compiled:
            figures = ("", "", "")
            if target.outcome == "ok":
                sizes = (f"{size / 1024:,.1f}" for size in (target.sram_bytes, target.flash_bytes))
                figures = (*sizes, f"{target.inferences_per_s:,.0f}")
            why = plain(target.reason or ", ".join(target.left))
            table.add_row(plain(one.artifact), target.accelerator, f"{target.share:.0%}", *figures, why)
    return table
