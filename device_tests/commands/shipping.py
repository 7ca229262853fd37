"""`python -m device_tests shipping`: what each runtime costs an app besides its models."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from rich.table import Table

from device_tests import devices
from device_tests.commands import options
from device_tests.measure.shipping import MODEL, measure, subjects
from device_tests.results import shipped
from device_tests.results.shipped import Shipped
from models.console import out
from models.errors import DataError


def table(rows: tuple[Shipped, ...]) -> Table:
    """Return the rows for the terminal, the lightest runtime first."""
    drawn = Table(title=f"What ships beside a model ({MODEL}, float32), one process per start")
    drawn.add_column("runtime")
    for title in ("libraries", "MB", "stripped MB", "gzip MB", "x model", "cold start ms", "peak memory MB"):
        drawn.add_column(title, justify="right")
    drawn.add_column("elsewhere")
    for row in sorted(rows, key=lambda r: r.compressed_bytes):
        figures = (row.library_bytes / 1e6, row.stripped_bytes / 1e6, row.compressed_bytes / 1e6)
        drawn.add_row(
            row.runtime,
            str(row.libraries),
            *(f"{figure:,.1f}" for figure in figures),
            f"{row.stripped_bytes / row.model_bytes:,.0f}",
            f"{row.cold_start_s * 1e3:,.0f}",
            f"{row.peak_rss_bytes / 1e6:,.0f}",
            row.elsewhere,
        )
    return drawn


@click.command()
@options.artifacts
@click.option("--out", "target", default="results/shipping.json", show_default=True, type=click.Path(path_type=Path))
def shipping(artifacts: Path, target: Path) -> None:
    """Measure what each runtime costs besides the model, print it and write it."""
    if not shutil.which("strip"):
        msg = "There is no `strip`, which tells a library's code from its symbols. Install it: apt-get install binutils"
        raise DataError(msg)
    every = subjects()
    for cell in every:
        devices.device(cell.device).require(cell.runtime)
    rows = []
    for cell in every:
        out.print(f"{cell.id} ...")
        rows.append(measure(cell, artifacts))
    out.print(table(tuple(rows)))
    heaviest = max(rows, key=lambda r: r.stripped_bytes)
    out.print(f"{heaviest.runtime} weighs most: {heaviest.stripped_bytes / 1e6:,.0f} MB of libraries for a model of "
              f"{heaviest.model_bytes / 1e6:.2f} MB.")  # fmt: skip
    shipped.save(tuple(rows), target)
