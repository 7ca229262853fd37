"""What an app grows by: a model with the runtime that it needs, from what `nox -s shipping` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from device_tests.contract import DESKTOP
from device_tests.results.measurement import Measurement
from device_tests.measure.shipping import Shipped
from models.errors import DataError

Weights = Mapping[str, Shipped]  # by runtime
FILE = "shipping.jsonl"


def read(results: Path) -> Weights:
    """Return what each runtime weighs, nothing where that was not measured; raises DataError where it is broken."""
    file = results / FILE
    try:
        rows = [Shipped(**json.loads(line)) for line in file.read_text().splitlines()]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        msg = f"{file} does not tell what ships ({type(error).__name__}: {error}). Delete it and run: nox -s shipping"
        raise DataError(msg) from error
    return {row.runtime: row for row in rows}


def total_bytes(row: Measurement, weights: Weights) -> int | None:
    """Return the bytes of a row's model and its runtime's libraries, both compressed, as they are downloaded.

    None where the runtime was not weighed: libraries are the desktop's, which say nothing of other devices.
    """
    if row.device != DESKTOP or row.runtime not in weights or row.compressed_bytes is None:
        return None
    return row.compressed_bytes + weights[row.runtime].compressed_bytes
