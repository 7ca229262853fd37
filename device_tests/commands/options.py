"""The options that several commands share, each with its range, defined once."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

only = click.option(
    "--only", "patterns", multiple=True, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE]."
)
runtimes = click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime; may be repeated."
)
device = click.option(
    "--device", "chosen_devices", multiple=True, metavar="NAME", help="Only this device; may be repeated."
)
artifacts = click.option("--artifacts", default="artifacts", show_default=True, type=FOLDER, help="Where they are.")
results = click.option("--results", default="results", show_default=True, type=FOLDER, help="Where results are.")
budgets = click.option(
    "--budgets", default="budgets.toml", show_default=True, type=FILE, help="Limits and expected outcomes."
)
listing = click.option("--list", "listing", is_flag=True, help="List the cells and end.")


def jobs(default: int, text: str):
    """Return the option that bounds how many cells are worked on side by side."""
    return click.option("--jobs", default=default, show_default=True, type=click.IntRange(1, 64), help=text)
