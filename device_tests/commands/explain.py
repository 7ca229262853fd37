"""`python -m device_tests explain`: what an artifact does on its runtimes, why it is that large, where errors begin."""

import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import click
from msgspec import structs, to_builtins

from device_tests import current_results
from device_tests.cells import Cell, Names, cells
from device_tests.commands import named, options
from device_tests.measure.explain import layers as layer_errors
from device_tests.measure.explain import run, tree
from device_tests.results import bounds
from device_tests.results import layers as layer_files
from device_tests.results import placements as placement_files
from device_tests.results.placements import Placement
from export import artifact as artifact_files
from export import matrix
from models import reference, suggested_commands
from models.common import files
from models.common.console import out, plain, validated
from models.common.errors import DataError, EdgewiseError, UsageError
from models.options import Word

T, Subject = TypeVar("T"), TypeVar("Subject")
Settled = tuple[T, bool] | str  # a result and whether it was current, or why it was refused
SILENT = {"tflite_micro": "its reference kernels run each operator as the file has it; look at the file on litert"}


@click.command()
@click.argument("ids", nargs=-1, type=Word("id"), metavar="[ARTIFACT[@RUNTIME]]...")
@click.option("--layers", is_flag=True, help="The error of each layer against the float source, too.")
@click.option("--all", "everything", is_flag=True, help="Write what is missing; fail on new defects.")
@click.option("--list", "listing", is_flag=True, help="List what can be explained and end.")
@click.option("--json", "file", type=options.FILE, help="Write what is printed into this file, too.")
@options.places
def explain(
    ids: Names, layers: bool, everything: bool, listing: bool, file: Path | None, artifacts: Path, results: Path
) -> None:
    """Say what ran where and in which numbers, why the file is that large, and what is wrong with it.

    Without @RUNTIME an artifact is explained on each of its runtimes, on further engines only if there is no other. With
    --all placement reports, and with --layers the layers too, are kept for the report: of all artifacts on the first
    engines, or of those that are named. The exit code is 1 where a placement report of the zoo has a defect that is not
    known; those of your own networks are only told.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime would report each session to its maker
    if not ids and not everything and not listing:
        raise UsageError("Name an artifact, or say --all. What there is: nox -s explain -- --list")
    chosen = select(ids)
    validated()
    if listing:
        for cell in chosen:
            click.echo(_name(cell))
    elif everything:
        write_all(chosen, artifacts, results, layers)
    else:
        show(chosen, artifacts, results, file, layers)


def _name(cell: Cell) -> str:
    return f"{cell.recipe.id}@{cell.runtime}"


def select(ids: tuple[str, ...]) -> tuple[Cell, ...]:
    """Return the cells of these ids; all cells of the first engines where no id is given.

    Raises UsageError, with a suggestion, for an id that does not exist.
    """
    there = cells()
    if not ids:
        return tuple(cell for cell in there if cell.runtime not in SILENT and not cell.further)
    selected: list[Cell] = []
    for id in ids:
        artifact, runtime, *_ = (*id.split("@"), "")
        try:
            recipes = matrix.select((artifact,))
        except UsageError as error:
            raise UsageError(str(error).removeprefix("--only ")) from error
        own = [cell for cell in there if cell.recipe in recipes]
        named = [cell for cell in own if runtime in ("", cell.runtime)]
        matching = [cell for cell in named if cell.runtime not in SILENT]
        if named and not matching:
            raise UsageError(f"explain cannot look into {artifact} on {named[0].runtime}: {SILENT[named[0].runtime]}.")
        if not matching:
            offered = ", ".join(sorted({cell.runtime for cell in own} - SILENT.keys()))
            raise UsageError(f"{artifact} does not run on {runtime!r}. It runs on: {offered}.")
        # without a runtime, those of the first engines: their environments are installed anyway
        selected += matching if runtime else [c for c in matching if not c.further] or matching
    return tuple(dict.fromkeys(selected))


def show(chosen: tuple[Cell, ...], folder: Path, results: Path, file: Path | None, with_layers: bool) -> None:
    """Print placements and, if asked for, the layers of each artifact."""
    placements, measured = [], []
    for cell in chosen:
        placement = run.make(_artifact(cell.recipe, folder), folder, cell.runtime)
        placements.append(placement)
        out.print(tree.placement_tree(placement))
        if limit := _limit(cell, placement, folder, results):
            out.print(plain(limit), soft_wrap=True)
    if with_layers:
        for recipe in dict.fromkeys(cell.recipe for cell in chosen):
            measured.append(_layers(recipe, folder))
            out.print(tree.layers_table(measured[-1]))
    if file:
        content = {
            "placements": [placement_files.as_json(placement) for placement in placements],
            "layers": [{**structs.asdict(layers), "first_bad": layers.first_bad} for layers in measured],
        }
        files.write_json(file, to_builtins(content))
    _fail_on_defects(placements)


def _limit(cell: Cell, placement: Placement, folder: Path, results: Path) -> str:
    """Return the share of its core's limit that an artifact reaches, and what wastes the rest; "" without a count."""
    artifact = _artifact(cell.recipe, folder)
    count = current_results.held(current_results.instructions, results, artifact, cell.runtime, bounds.GOAL_CORE)
    if count is None or count.instructions is None:
        return ""
    reached = bounds.bound(bounds.GOAL_CORE, artifact, count.instructions)
    share = f"{reached.share:.0%} of the limit of {bounds.GOAL_CORE}, {reached.limit}" if reached else ""
    return bounds.wasted(bounds.GOAL_CORE, artifact, count.instructions, placement) or share


def write_all(chosen: tuple[Cell, ...], folder: Path, results: Path, with_layers: bool) -> None:
    """Write the placements and layers that are missing or stale; an artifact that cannot be explained fails nothing.

    Raises DataError where none of the artifacts is there.
    """
    sidecars = (artifact_files.sidecar_path(folder, cell.recipe.id) for cell in chosen)
    if chosen and not any(sidecar.exists() for sidecar in sidecars):
        msg = f"{folder} holds none of these artifacts. Make them with: {suggested_commands.nox('export')}"
        raise DataError(msg)

    def current_layers(recipe: matrix.Recipe) -> tuple[layer_files.Layers, bool]:
        if stored := current_results.held(current_results.layers, results, _artifact(recipe, folder)):
            return stored, True
        measured = _layers(recipe, folder)
        layer_files.save(measured, results)
        return measured, False

    placements = _tally("placement reports", _placements(chosen, folder, results))
    if with_layers:
        recipes = dict.fromkeys(cell.recipe for cell in chosen)
        _tally("layers", [(recipe.id, _attempt(current_layers, recipe)) for recipe in recipes])
    _fail_on_defects(placements)


def _attempt(task: Callable[[Subject], tuple[T, bool]], subject: Subject) -> Settled[T]:
    try:
        return task(subject)
    except EdgewiseError as error:
        return str(error)


def _placements(chosen: tuple[Cell, ...], folder: Path, results: Path) -> list[tuple[str, Settled[Placement]]]:
    """Return the cells' placements by their names; each framework has a process of its own, so that none imports both."""
    frameworks = dict.fromkeys(cell.recipe.framework for cell in chosen)
    shares = [[cell for cell in chosen if cell.recipe.framework == name] for name in frameworks]
    if len(shares) < 2 or not hasattr(os, "fork"):
        return _share_of_placements(list(chosen), folder, results)
    with ExitStack() as held:  # a pool for each: a process of a common pool could take two shares
        pools = [held.enter_context(ProcessPoolExecutor(1, mp_context=get_context("fork"))) for _ in shares]
        futures = [
            p.submit(_share_of_placements, share, folder, results) for p, share in zip(pools, shares, strict=True)
        ]
        settled: list[tuple[str, Settled[Placement]]] = []
        for share, future in zip(shares, futures, strict=True):
            try:
                settled += future.result()
            except BrokenProcessPool:  # a library killed it: what it had written is current in the next run
                settled += [(_name(cell), "the process that looks into files of its framework died") for cell in share]
        return settled


def _share_of_placements(cells: list[Cell], folder: Path, results: Path) -> list[tuple[str, Settled[Placement]]]:
    def placement(cell: Cell) -> tuple[Placement, bool]:
        artifact = _artifact(cell.recipe, folder)
        if stored := current_results.held(current_results.placement, results, artifact, cell.runtime):
            return stored, True
        created = run.make(artifact, folder, cell.runtime)
        placement_files.save(created, results)
        return created, False

    return [(_name(cell), _attempt(placement, cell)) for cell in cells]


def _tally(what: str, settled: list[tuple[str, Settled[T]]]) -> list[T]:
    """Print what was refused and a tally; return the results."""
    refused = defaultdict(list)
    for name, one in settled:
        if isinstance(one, str):
            refused[one].append(name)
    for reason, names in refused.items():
        line = tree.shown(f"{', '.join(names)}: {reason}")
        out.print(f"[yellow]no {what}[/] {line}", soft_wrap=True)
    succeeded = [one for _, one in settled if not isinstance(one, str)]
    unchanged, count = sum(current for _, current in succeeded), len(settled) - len(succeeded)
    out.print(f"{what}: {len(succeeded) - unchanged} written, {unchanged} were current, {count} refused")
    return [result for result, _ in succeeded]


def _layers(recipe: matrix.Recipe, folder: Path) -> layer_files.Layers:
    artifact = _artifact(recipe, folder)
    reference_set = reference.load(reference.path(folder, recipe.model))
    return layer_errors.measure(artifact, artifact_files.check(artifact, folder), reference_set)


def _artifact(recipe: matrix.Recipe, folder: Path) -> artifact_files.Artifact:
    return artifact_files.read(artifact_files.sidecar_path(folder, recipe.id))


def _fail_on_defects(placements: list[Placement]) -> None:
    defects = [f"{placement.id}: {defect}" for placement in placements for defect in placement.unexpected]
    summary = "defects that are not known (device_tests/results/placements.py lists the known ones)"
    named.fail(defects, word="defect", summary=summary)
