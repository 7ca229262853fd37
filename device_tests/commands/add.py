"""`python -m device_tests add`: add what the benchmark of the web demo or of the Android app saved to the results."""

from pathlib import Path

import click

from device_tests.commands import options
from device_tests.measure import import_results
from device_tests.results import measurement as measurements
from device_tests.results import parity
from models.common.console import out, printable, validated


@click.command()
@click.argument("file", type=options.FILE)
@options.places
def add(file: Path, artifacts: Path, results: Path) -> None:
    """Add what the web demo's or the Android app's benchmark saved, as a device of the matrix; `report` shows it."""
    validated()
    bring(file, artifacts, results)


def bring(file: Path, artifacts: Path, results: Path) -> None:
    """Judge the results of a saved file and add them; raises DataError and adds nothing where one of them is wrong."""
    imported = import_results.read(file, artifacts)
    for measurement, logits in imported:
        measurements.save(measurement, results)
        parity.save(results, measurement.id, logits)
        summary = f"top-1 {measurement.top1:.2%} of {measurement.total:,}" if measurement.total else measurement.reason
        line = printable(f"{measurement.outcome} {measurement.id}: {summary}")
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"{len(imported)} results added to {results}. See them with: nox -s report", markup=False, soft_wrap=True)
