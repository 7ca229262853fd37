"""`python -m export`: make every artifact that is missing, and say what became of each."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from export import artifact as artifacts
from export import matrix
from export.artifact import Artifact
from models import console, data
from models.console import out
from models.errors import EdgewiseError

COLOURS = {"ok": "green", "unsupported": "yellow", "export_failed": "red"}


@click.command()
@click.option(
    "--only", "patterns", multiple=True, metavar="GLOB", help="Only artifacts whose id matches; may be repeated."
)
@click.option("--list", "listing", is_flag=True, help="List the ids and end.")
@click.option("--force", is_flag=True, help="Export again what is already there.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes side by side.")
@click.option(
    "--data", "dataset", type=click.Choice(data.NAMES), help="Data set; by default MNIST, else loudly digits."
)
@click.option(
    "--artifacts",
    "folder",
    default="artifacts",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where they go.",
)
@click.option(
    "--logs", default="logs", show_default=True, type=click.Path(path_type=Path), help="Where converters' output goes."
)
def command(
    patterns: tuple[str, ...], listing: bool, force: bool, jobs: int, dataset: str | None, folder: Path, logs: Path
) -> None:
    """Export the trained networks to every format and scheme. What is there and current is not made again."""
    recipes = matrix.select(patterns)
    console.validated()
    if listing:
        for recipe in recipes:
            click.echo(recipe.id)
        return

    from export import run  # only here: listing needs none of it

    started = time.perf_counter()
    todo = run.plan(recipes, dataset=dataset, folder=folder, logs=logs, force=force)
    total = sum(len(job.recipes) for job in todo)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[at]}"),
    )
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("export", total=total, at="")
        done = 0

        def begins(id: str) -> None:
            progress.update(task, at=id)

        def ended(made: Artifact) -> None:
            nonlocal done
            done += 1
            progress.advance(task)
            detail = f"{made.size_bytes:,} bytes" if made.outcome == "ok" else made.reason
            colour = COLOURS[made.outcome]
            progress.console.print(
                f"{done:3}/{total} {made.seconds:6.1f} s [{colour}]{made.outcome}[/] {made.id}: {escape(detail)}"
            )

        run.run(todo, lanes=jobs, begins=begins, ended=ended)

    made = [artifacts.read(artifacts.sidecar_path(folder, r.id)) for r in recipes]
    out.print(_table(made))
    if made and any(a.dataset.get("name") == "digits" for a in made):
        out.print("[bold yellow]Judged on scikit-learn's digits, not on MNIST.[/]")
    failed = [a for a in made if a.outcome == "export_failed"]
    counts = {outcome: sum(a.outcome == outcome for a in made) for outcome in COLOURS}
    out.print(f"{', '.join(f'{n} {outcome}' for outcome, n in counts.items())}; {total} made, {len(made) - total} were current; "
              f"{time.perf_counter() - started:.0f} s; artifacts in {folder}, converters' output in {logs}")  # fmt: skip
    if failed:
        msg = f"{len(failed)} of {len(made)} recipes failed: {', '.join(a.id for a in failed[:5])}. Their reasons are above, their logs in {logs}."
        raise EdgewiseError(msg)


def _table(made: list[Artifact]) -> Table:
    table = Table(title="Artifacts")
    table.add_column("id", no_wrap=True)
    for name in ("bytes", "gzip", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome")
    for a in made:
        size, compressed = (f"{a.size_bytes:,}", f"{a.compressed_bytes:,}") if a.file else ("", "")
        says = f"[{COLOURS[a.outcome]}]{a.outcome}[/]" + (f": {escape(a.reason)}" if a.reason else "")
        table.add_row(a.id, size, compressed, f"{a.seconds:.1f}", says)
    return table


if __name__ == "__main__":
    console.main(command)
