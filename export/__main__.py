"""`python -m export`: make every artifact that is missing, and say what became of each."""

if __name__ == "__main__":  # before anything else is imported: Ctrl-C may come at any time
    from models.common import entry

    entry.main("export.__main__:command")

import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from export import artifact as artifacts
from export import matrix, phases, planning, run
from export.artifact import Artifact
from export.planning import Job
from export.recipe import Recipe
from export.schemes import SCHEMES
from models import data, networks, options
from models.common import console
from models.common.console import err, out, plain
from models.common.errors import DataError, EdgewiseError

DIGITS_FOLDER = Path("artifacts-digits")
COLOURS = {"ok": "green", "unsupported": "yellow", "export_failed": "red"}


@click.command()
@options.models
@click.option(
    "--only", "patterns", multiple=True, metavar="GLOB", help="Only artifacts whose id matches; may be repeated."
)
@click.option("--list", "listing", is_flag=True, help="List the ids and end.")
@click.option(
    "--quick", is_flag=True, help=f"Leave out {', '.join(matrix.FURTHER)}, unless --only names some artifacts."
)
@click.option("--force", is_flag=True, help="Export again what is already there.")
@click.option("--no-rewrites", "as_converted", is_flag=True, help="Leave converted files as the converter gave them.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes side by side.")
@click.option("--profile", "profiled", is_flag=True, help="Say where the time went, by what is made and by step.")
@click.option(
    "--data", "dataset", type=click.Choice(data.NAMES), help="Data set; by default MNIST, else loudly digits."
)
@click.option(
    "--artifacts",
    "folder",
    type=options.FOLDER,
    help=f"Where they go.  [default: artifacts, in the folder of --models where that is given; with --data digits {DIGITS_FOLDER}]",
)
@options.beside("--logs", name="logs", kind=options.FOLDER, text="Where converters' output goes.")
def command(
    patterns: tuple[str, ...],
    listing: bool,
    quick: bool,
    force: bool,
    as_converted: bool,
    jobs: int,
    profiled: bool,
    dataset: str | None,
    folder: Path | None,
    logs: Path,
) -> None:
    """Export the trained networks to every format and scheme. What is there and current is not made again.

    Artifacts of scikit-learn's digits (--data digits) go into a folder of their own: hand that to whatever comes next,
    with --artifacts artifacts-digits --results results-digits.
    """
    recipes = matrix.select(patterns)
    if quick and not patterns:
        recipes = tuple(recipe for recipe in recipes if recipe.format not in matrix.FURTHER) or recipes
    console.validated()
    if listing:
        for recipe in recipes:
            click.echo(recipe.id)
        for name in dict.fromkeys(recipe.scheme for recipe in recipes):  # not among the ids, which others read
            click.echo(f"{name}: {SCHEMES[name]}", err=True)
        return
    folder = folder or (DIGITS_FOLDER if dataset == "digits" else networks.default("artifacts"))
    _export(recipes, dataset=dataset, folder=folder, logs=logs, force=force, rewrites=not as_converted, jobs=jobs,
            profiled=profiled)  # fmt: skip


def profile(seconds: dict[str, Counter[str]], lanes: int, took_s: float) -> Table:
    """Return the table of `--profile`: where the lanes' time went, the costliest family of recipes first.

    `seconds` are by family and phase (export/phases.py), of all lanes together; with `lanes` side by side, a second of
    the `took_s` that the export took has so many.
    """
    totals = sum(seconds.values(), Counter())
    busy = totals.total()
    table = Table(title=f"Where the time went: {busy:.1f} s of {lanes} lanes in {took_s:.1f} s")
    table.add_column("made", no_wrap=True)
    names = [name for name in phases.NAMES if totals[name] >= 0.05]
    for name in (*names, "all"):
        table.add_column(name, justify="right", no_wrap=True)
    for family, spent in sorted(seconds.items(), key=lambda item: -item[1].total()):
        table.add_row(family, *(_text(spent[name]) for name in names), _text(spent.total()))
    table.add_section()
    table.add_row("all", *(_text(totals[name]) for name in names), _text(busy))
    if idle := max(0.0, lanes * took_s - busy):  # starting, planning, a lane without work at the end
        table.caption = f"{idle:.1f} s of the lanes' {lanes * took_s:.1f} s are not in it: starts, plans, waiting"
    return table


def _text(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 0.05 else ""


def _export(
    recipes: tuple[Recipe, ...], *, folder: Path, logs: Path, jobs: int, profiled: bool, **choices: Any
) -> None:
    """Make what is missing of the recipes, and show what became of each; `choices` are those of planning.plan."""
    started = time.perf_counter()
    recipes, unusable = _usable(recipes)
    todo = planning.plan(recipes, folder=folder, logs=logs, **choices)
    total = sum(len(job.recipes) for job in todo)
    finished, problem = [], None
    seconds: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        _run(todo, jobs, total, finished, lambda family, spent: seconds[family or "references"].update(spent))
    except EdgewiseError as error:  # of one model; what was made of the others is shown all the same
        if not finished:
            raise
        problem = error
    left_out = {recipe.id for job in todo for recipe, _ in job.recipes} - {a.id for a in finished}
    shown = [artifacts.read(artifacts.sidecar_path(folder, r.id)) for r in recipes if r.id not in left_out]
    out.print(_table(shown))
    counts = ", ".join(f"{sum(a.outcome == outcome for a in shown)} {outcome}" for outcome in COLOURS)
    unmade = f", {len(left_out)} not made" if left_out else ""
    out.print(f"{counts}{unmade}; {len(finished)} made, {len(recipes) - total} were current; "
              f"{time.perf_counter() - started:.0f} s; artifacts in {escape(str(folder))}, converters' output in {escape(str(logs))}")  # fmt: skip
    if profiled:
        out.print(profile(seconds, jobs, time.perf_counter() - started))
    if networks.folder() is None and any(a.dataset.name == "digits" for a in shown):
        out.print(_digits_warning(folder))
    if problem:
        raise problem
    if unusable:
        msg = f"{len(unusable)} of what {networks.folder()} holds could not be exported:\n" + "\n".join(unusable)
        raise DataError(msg)
    if failed := [a for a in shown if a.outcome == "export_failed"]:
        msg = f"{len(failed)} of {len(shown)} recipes failed: {', '.join(a.id for a in failed[:5])}. Their reasons are above, their logs in {logs}."
        raise EdgewiseError(msg)


def _usable(recipes: tuple[Recipe, ...]) -> tuple[tuple[Recipe, ...], list[str]]:
    """Return the recipes of networks that can be read, and what is wrong with the others; raises DataError where none can."""
    problems = planning.unusable(dict.fromkeys(recipe.model for recipe in recipes))
    problem_lines = [*problems.values(), *networks.left_out()]
    good = tuple(recipe for recipe in recipes if recipe.model not in problems)
    if not good:
        raise DataError("\n".join(problem_lines))
    for line in problem_lines:  # now, for the others take a while
        err.print(f"[bold red]left out:[/] {plain(line)}", soft_wrap=True)
    return good, problem_lines


def _run(todo: tuple[Job, ...], jobs: int, total: int, finished: list[Artifact], spent: run.Spent) -> None:
    """Make what is missing, with a bar and a line for each; fills `finished`, and tells `spent` where the time went."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[at]}"), console=out) as progress:
        task = progress.add_task("export", total=total, at="")

        def ended(artifact: Artifact) -> None:
            finished.append(artifact)
            progress.advance(task)
            detail = f"{artifact.size_bytes:,} bytes" if artifact.outcome == "ok" else artifact.reason
            colour = COLOURS[artifact.outcome]
            progress.console.print(
                f"{len(finished):3}/{total} {artifact.seconds:6.1f} s [{colour}]{artifact.outcome}[/] {artifact.id}: {escape(detail)}"
            )

        run.run(todo, count=jobs, begins=lambda id: progress.update(task, at=id), ended=ended, spent=spent)


def _digits_warning(folder: Path) -> str:
    """Return the last line of an export that is not of MNIST: what to hand to the commands that come next."""
    start = "[bold yellow]Judged on scikit-learn's digits, not on MNIST.[/]"
    if folder == networks.default("artifacts"):
        return start
    results = folder.with_name(folder.name.replace("artifacts", "results", 1))
    if results == folder:
        results = folder.with_name(f"{folder.name}-results")
    return f"{start} Run them with: nox -s device_tests -- --artifacts {escape(str(folder))} --results {escape(str(results))}"


def _table(shown: list[Artifact]) -> Table:
    table = Table(title="Artifacts")
    table.add_column("id", no_wrap=True)
    for name in ("bytes", "gzip", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome")
    for a in shown:
        size, compressed = (f"{a.size_bytes:,}", f"{a.compressed_bytes:,}") if a.file else ("", "")
        outcome = f"[{COLOURS[a.outcome]}]{a.outcome}[/]" + (f": {escape(a.reason)}" if a.reason else "")
        table.add_row(a.id, size, compressed, f"{a.seconds:.1f}", outcome)
    return table
