"""`python -m device_tests.explain`: what an artifact does on its runtimes, why it is that large, where errors begin."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape

from device_tests.cells import Cell, cells
from export import artifact as artifacts
from export import matrix
from export.artifact import Artifact
from models import console, files
from models.console import out
from models.errors import DataError, EdgewiseError, UsageError

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ARTIFACT[@RUNTIME]]...")
@click.option("--layers", is_flag=True, help="The error of each layer against the float source, too.")
@click.option("--all", "everything", is_flag=True, help="Write the receipts that are missing; fail on new defects.")
@click.option("--list", "listing", is_flag=True, help="List what can be explained and end.")
@click.option("--json", "file", type=_FILE, help="Write what is printed into this file, too.")
@click.option("--artifacts", "folder", default="artifacts", show_default=True, type=_FOLDER, help="Where they are.")
@click.option("--out", "receipts", default="results/receipts", show_default=True, type=_FOLDER, help="For --all.")
def command(
    ids: tuple[str, ...],
    layers: bool,
    everything: bool,
    listing: bool,
    file: Path | None,
    folder: Path,
    receipts: Path,
) -> None:
    """Say what ran where and in which numbers, why the file is that large, and what is wrong with it.

    Without @RUNTIME an artifact is explained on each of its runtimes. The exit code is 1 where a receipt has a defect
    that is not known.
    """
    if not ids and not everything and not listing:
        msg = "Name an artifact, or say --all. What there is: nox -s explain -- --list"
        raise UsageError(msg)
    chosen = select(ids)
    if listing:
        for cell in chosen:
            click.echo(_name(cell))
    elif everything:
        write_all(chosen, folder, receipts)
    else:
        show(chosen, folder, file, layers)


def _name(cell: Cell) -> str:
    return f"{cell.recipe.id}@{cell.runtime}"


def select(ids: tuple[str, ...]) -> tuple[Cell, ...]:
    """Return the cells of these ids, all for none; raises UsageError with a suggestion where one does not exist."""
    every = cells()
    found: list[Cell] = []
    for id in ids:
        artifact, _, runtime = id.partition("@")
        try:
            recipes = matrix.select((artifact,))
        except UsageError as error:
            raise UsageError(str(error).removeprefix("--only ")) from error
        runtime = runtime.partition("@")[0]
        matching = [c for c in every if c.recipe in recipes and runtime in ("", c.runtime)]
        if not matching:
            offered = ", ".join(sorted({c.runtime for c in every if c.recipe in recipes}))
            msg = f"{artifact} does not run on {runtime!r}. It runs on: {offered}."
            raise UsageError(msg)
        found += matching
    return tuple(dict.fromkeys(found)) if ids else every


def show(chosen: tuple[Cell, ...], folder: Path, file: Path | None, with_layers: bool) -> None:
    """Print receipts and, if asked for, the layers of each artifact."""
    from device_tests.explain import layers, run, tree
    from device_tests.explain.receipt import as_json
    from models import reference

    made, measured = [], []
    for cell in chosen:
        receipt = run.make(_artifact(cell, folder), folder, cell.runtime)
        made.append(receipt)
        out.print(tree.receipt_tree(receipt))
    if with_layers:
        for recipe in dict.fromkeys(cell.recipe for cell in chosen):
            artifact = artifacts.read(artifacts.sidecar_path(folder, recipe.id))
            answers = reference.load(reference.path(folder, recipe.model))
            measured.append(layers.measure(artifact, artifacts.check(artifact, folder), answers))
            out.print(tree.layers_table(measured[-1]))
    if file:
        content = {
            "receipts": [as_json(receipt) for receipt in made],
            "layers": [{**asdict(found), "first_bad": found.first_bad} for found in measured],
        }
        files.write_json(file, content)
    _fail_on_defects([f"{r.id}: {d}" for r in made for d in r.unexpected])


def write_all(chosen: tuple[Cell, ...], folder: Path, receipts: Path) -> None:
    """Write every receipt that is missing or of another artifact; what a cell refuses is said and fails nothing."""
    from device_tests.explain import run
    from device_tests.explain.receipt import save

    made, kept, refused, defects = 0, 0, [], []
    for cell in chosen:
        file = receipts / f"{_name(cell)}.json"
        try:
            artifact = _artifact(cell, folder)
            receipt = run.current(file, artifact, cell.runtime)
            if receipt is None:
                receipt = run.make(artifact, folder, cell.runtime)
                save(receipt, file)
                made += 1
            else:
                kept += 1
        except EdgewiseError as error:
            refused.append(f"{_name(cell)}: {error}")
            continue
        defects += [f"{receipt.id}: {d}" for d in receipt.unexpected]
    for line in refused:
        out.print(f"[yellow]no receipt[/] {escape(line)}", soft_wrap=True)
    out.print(f"{made} written, {kept} were current, {len(refused)} refused; receipts in {receipts}", soft_wrap=True)
    _fail_on_defects(defects)


def _artifact(cell: Cell, folder: Path) -> Artifact:
    artifact = artifacts.read(artifacts.sidecar_path(folder, cell.recipe.id))
    if artifact.outcome != "ok":
        msg = f"{artifact.id} was not made ({artifact.outcome}): {artifact.reason}"
        raise DataError(msg)
    return artifact


def _fail_on_defects(defects: list[str]) -> None:
    if defects:
        lines = "".join(f"\n  {line}" for line in defects)
        msg = (
            f"{len(defects)} defects that are not known (device_tests/explain/receipt.py lists the known ones):{lines}"
        )
        raise EdgewiseError(msg)


if __name__ == "__main__":
    console.main(command)
