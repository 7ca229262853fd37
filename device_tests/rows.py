"""The rows of a report: one per cell of the matrix, also where there is no result or one that does not count."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import unquote

from device_tests import current_results, devices, join
from device_tests.cells import Cell, cells, require_artifacts, takes
from device_tests.contract import DESKTOP
from device_tests.onboard.runtimes import FURTHER, RUNTIMES
from device_tests.results import consistency
from device_tests.results import measurement as measurements
from device_tests.results.measurement import Measurement, not_exported, without_result
from device_tests.results.row import Evidence, Row
from export import artifact as artifacts
from export import matrix
from models import reference, suggested_commands
from models.common import files, provenance
from models.common.errors import DataError, UsageError, did_you_mean
from models.reference import Reference


@dataclass(frozen=True, kw_only=True)
class Results:
    """A results folder: measurements by id, and by the file's stem why a file is broken."""

    measurements: Mapping[str, Measurement]
    broken: Mapping[str, str]


def load(results_folder: Path) -> Results:
    """Read every result of a folder; raises DataError where there is none."""
    by_id, broken = {}, {}
    for file in sorted(results_folder.glob("[!.]*.json")):
        if not file.stem.count("@"):
            continue  # another kind of file, such as shipping.json
        try:
            measurement = measurements.read(file)
        except DataError as error:
            broken[file.stem] = str(error)
            continue
        if measurement:
            by_id[measurement.id] = measurement
    if not by_id and not broken:
        raise DataError(
            f"There are no results in {results_folder}. Make them with: {suggested_commands.nox('device_tests')}"
        )
    return Results(measurements=by_id, broken=broken)


def cells_with_results(results: Results, only: tuple[str, ...] = ()) -> tuple[Cell, ...]:
    """Return all cells of the desktop, and of other devices those whose runtimes have results; or of some devices only.

    Of a browser or another importer only the cells with results are returned. Raises UsageError for a device that
    cannot exist, DataError for one without a result.
    """
    # a result that cannot be read was one of its device, and may not vanish with it
    broken = (unquote(stem) for stem in results.broken if stem.count("@") > 1)
    of_devices = (id for id in broken if devices.exists(name := id.split("@", 2)[2]) or name.startswith("browser:"))
    ids = dict.fromkeys((*results.measurements, *of_devices))
    measured = dict.fromkeys(tuple(id.split("@", 2)[1:]) for id in ids)
    possible = (
        Cell(recipe=recipe, runtime=runtime, device=device)
        for runtime, device in measured
        for recipe in matrix.recipes()
        if device != DESKTOP
    )

    def has_row(cell: Cell) -> bool:
        return takes(cell.runtime, cell.recipe) if cell.runtime in RUNTIMES.names() else cell.id in ids

    every = (*cells(), *filter(has_row, possible))
    there = {cell.device for cell in every}
    for name in only:
        if name not in there:
            if not devices.exists(name):
                msg = f"There is no device called {name!r}. {did_you_mean(name, {*there, *devices.names()})}"
                raise UsageError(msg)
            raise DataError(f"There is no result of {name}. Make some with: {devices.command(name, '*')}")
    return tuple(cell for cell in every if not only or cell.device in only)


def rows(
    chosen: tuple[Cell, ...], results: Results, *, artifacts_folder: Path, results_folder: Path
) -> tuple[Row, ...]:
    """Return a row per cell; a result that does not count becomes a row that says why."""
    require_artifacts(artifacts_folder)

    artifact_of = cache(partial(_artifact, artifacts_folder))

    @cache
    def reference_of(model: str) -> tuple[Reference, str] | str:
        try:
            reference_set = reference.load(reference.path(artifacts_folder, model))
        except DataError as error:
            return str(error)
        return reference_set, reference_set.sha256

    added = join.Added(results_folder, {f"{cell.runtime}@{cell.device}" for cell in chosen})
    return tuple(
        _row(cell, results, artifact_of(cell.recipe.id), reference_of(cell.recipe.model), added) for cell in chosen
    )


def _artifact(folder: Path, id: str) -> artifacts.Artifact | tuple[str, Evidence, str]:
    """Return a whole artifact, or the outcome, the evidence and the reason for its rows."""
    sidecar = artifacts.sidecar_path(folder, id)
    if not sidecar.exists():
        return "skipped", "missing", ""
    try:
        artifact = artifacts.read(sidecar)
        if artifact.outcome == "ok":
            artifacts.check(artifact, folder)
    except (DataError, OSError) as error:  # what cannot be read must not keep the others from being judged
        return "load_failed", "unusable", str(error)
    return artifact


def _row(
    cell: Cell,
    results: Results,
    artifact: artifacts.Artifact | tuple[str, Evidence, str],
    judged_by: tuple[Reference, str] | str,
    added: join.Added,
) -> Row:
    if isinstance(artifact, tuple):
        outcome, evidence, reason = artifact
        return as_row(without_result(cell, outcome, reason) if reason else not_exported(cell), evidence)
    if artifact.outcome != "ok":
        return as_row(without_result(cell, artifact.outcome, artifact.reason))
    measurement, reason = results.measurements.get(cell.id), ""
    again = devices.command(cell.device, cell.id)
    if broken := results.broken.get(files.stem(cell.id)):
        reason, evidence = f"its result does not count: {broken} {again}", "unusable"
    elif measurement is None:
        reason, evidence = f"not run: {again}", "missing"
    elif isinstance(judged_by, str):
        reason, evidence = f"its result cannot be held against a reference: {judged_by}", "unusable"
    elif why := _stale(cell, measurement, artifact, judged_by):
        reason, evidence = f"stale: {why}: {again}", "stale"
    elif why := consistency.contradiction(measurement, artifact, judged_by[0], added.results):
        reason, evidence = f"its result does not count: {why}: {again}", "unusable"
    if reason:
        return as_row(without_result(cell, "skipped", reason), evidence)
    return added.to(as_row(measurement), artifact)


def as_row(measurement: Measurement, evidence: Evidence = "current") -> Row:
    """Return a measurement as a row without figures of separate runs."""
    return Row(**{name: getattr(measurement, name) for name in measurement.__struct_fields__}, evidence=evidence)


def _stale(cell: Cell, measurement: Measurement, artifact: artifacts.Artifact, judged_by: tuple[Reference, str]) -> str:
    """Return what has changed since a result was measured, "" where it is current."""
    if not artifacts.is_of(artifact, judged_by[0]):
        return "the artifact and its reference are of another checkpoint or data set than each other (nox -s export)"
    if measurement.artifact_sha256 != artifact.sha256:
        return "the artifact has changed since"
    origins = ((one.checkpoint_sha256, one.dataset.sha256) for one in (measurement, artifact))
    if len(set(origins)) > 1:
        return "it is of another checkpoint or data set"
    if not devices.exists(cell.device):
        return ""  # imported from a browser, and judged then
    packages = current_results.packages(cell.runtime, cell.device)
    changed = provenance.stale(measurement.inputs, current_results.of_cell(cell, artifact, judged_by[1], packages))
    if changed:
        return f"{', '.join(changed)} {'has' if len(changed) == 1 else 'have'} changed since"
    unknown = packages is None and devices.is_local(cell.device)
    if unknown and current_results.other_versions(cell.runtime, measurement.environment):
        return f"{current_results.PACKAGES} have changed since"
    return ""


def that_ran(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows without those of further engines that never ran on their device: a quick run leaves them out."""
    # an artifact that could not be exported has a row without inputs
    tried = (row for row in rows if row.evidence != "missing" and (row.inputs or row.outcome == "ok"))
    ran = {(row.runtime, row.device) for row in tried}
    return tuple(row for row in rows if row.runtime not in FURTHER or (row.runtime, row.device) in ran)
