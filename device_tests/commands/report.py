"""`python -m device_tests report`: the tables, the page and which artifact to ship."""

from pathlib import Path

import click

from device_tests.cells import select
from device_tests.commands import options
from models.common.console import out, plain, validated
from models.common.errors import DataError


@click.command()
@options.only
@click.option(
    "--margin",
    default=0.1,
    show_default=True,
    type=options.PERCENTAGE_POINTS,
    help="Percentage points of top-1 that may be lost.",
)
@options.beside("--report", "folder", name="report", kind=options.FOLDER, text="Where the report goes.")
@click.option("--svg", type=options.FILE, help="Draw the table into this file, too.")
@options.places
@options.device
def report(patterns: tuple[str, ...], margin: float, folder: Path, svg: Path | None, artifacts: Path, results: Path,
           chosen_devices: tuple[str, ...]) -> None:  # fmt: skip
    """Print one table per model, and which artifact to ship; write both as a page, Markdown and JSON."""
    from device_tests.report import tables as reports
    from device_tests.report.groups import group
    from device_tests.report.page import page
    from device_tests.results import shipping as footprints
    from device_tests.rows import cells_with_results, load, rows

    validated()
    stored = load(results)
    chosen = select(cells_with_results(stored, chosen_devices), runtimes=(), patterns=patterns)
    all_rows = rows(chosen, stored, artifacts_folder=artifacts, results_folder=results)
    try:
        weights = footprints.read(results / footprints.FILE)
    except DataError as error:  # the rest of the report does not need it
        out.print(f"[yellow]{plain(error)}[/]", soft_wrap=True)
        weights = {}
    groups = group(all_rows, margin, weights)
    reports.show(groups, margin, out)
    written = reports.write(groups, margin, folder, svg)
    written += (page.write(groups, margin, folder, artifacts_folder=artifacts, results_folder=results),)
    out.print(plain(f"Written: {', '.join(map(str, written))}"), soft_wrap=True)
