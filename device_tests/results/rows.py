"""The rows of a report: one per cell of the matrix, also where there is no result, or one that no longer counts."""

from __future__ import annotations

from pathlib import Path

from device_tests import devices
from device_tests.results import costs
from device_tests.results import measurement as measurements
from device_tests.cells import Cell, cells, takes
from device_tests.contract import DESKTOP
from device_tests.results.measurement import Measurement
from device_tests.measure.runner import is_of, not_exported, without_result
from device_tests.onboard.runtimes import RUNTIMES
from export import artifact as artifacts
from export import matrix
from models import reference
from models.errors import DataError
from models.reference import Reference


def rows(chosen: tuple[Cell, ...], *, artifacts_folder: Path, results_folder: Path) -> tuple[Measurement, ...]:
    """Return a row per cell; a result of another file, checkpoint or data set becomes `skipped`, which says so.

    Raises DataError where nothing was run yet.
    """
    if not any(results_folder.glob("[!.]*.json")):
        msg = f"There are no results in {results_folder}. Make them with: nox -s device_tests"
        raise DataError(msg)
    references = {}
    for model in {cell.recipe.model for cell in chosen}:
        file = reference.path(artifacts_folder, model)
        references[model] = reference.load(file) if file.exists() else None
    ratios = costs.ratios(results_folder, {f"{cell.runtime}@{cell.device}" for cell in chosen})
    return tuple(_row(cell, artifacts_folder, results_folder, references[cell.recipe.model], ratios) for cell in chosen)


def found(results_folder: Path, only: tuple[str, ...] = ()) -> tuple[Cell, ...]:
    """Return the cells of every device, or of some: the desktop's whole, elsewhere those of the runtimes that have run there.

    What a browser or another importer measured is there as far as it has results. Raises DataError for a file in the
    results folder that is none.
    """
    known = [m for file in sorted(results_folder.glob("[!.]*.json")) if (m := measurements.read(file))]
    there = dict.fromkeys((m.runtime, m.device) for m in known if m.device != DESKTOP)
    ran = {m.id for m in known}
    elsewhere = (
        Cell(recipe=recipe, runtime=runtime, device=device)
        for runtime, device in there
        for recipe in matrix.recipes()
        if (takes(runtime, recipe) if runtime in RUNTIMES.names() else f"{recipe.id}@{runtime}@{device}" in ran)
    )
    return tuple(cell for cell in (*cells(), *elsewhere) if not only or cell.device in only)


def _row(
    cell: Cell, artifacts_folder: Path, results_folder: Path, answers: Reference | None, ratios: costs.Ratios
) -> Measurement:
    again = devices.command(cell.device, cell.id)
    sidecar = artifacts.sidecar_path(artifacts_folder, cell.recipe.id)
    if not sidecar.exists() or answers is None:
        return not_exported(cell)
    try:
        artifact = artifacts.read(sidecar)
        known = measurements.read(measurements.path(results_folder, cell.id))
    except DataError as error:
        return without_result(cell, "load_failed", str(error))
    if artifact.outcome != "ok":
        return without_result(cell, artifact.outcome, artifact.reason)
    if known is None:
        return without_result(cell, "skipped", f"not run: {again}")
    if not is_of(artifact, answers):
        return without_result(cell, "skipped", "stale: of another checkpoint or data set: nox -s export")
    if known.artifact_sha256 != artifact.sha256:
        return without_result(cell, "skipped", f"stale: the artifact has changed since: {again}")
    return costs.attach(known, artifact, results_folder, ratios)
