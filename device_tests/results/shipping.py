"""The bytes by which an app grows: a model with its runtime, from the file that `nox -s shipping` wrote."""

from collections.abc import Mapping
from pathlib import Path

from device_tests.contract import DESKTOP
from device_tests.results.measurement import Measurement
from models.common import records
from models.common.records import Count, Magnitude, Positive, Record

FILE = "shipping.json"


class Footprint(Record, kw_only=True):
    """The cost of a runtime besides its models: bytes of the shared libraries that one inference maps, without numpy's.

    `cold_start_s` is from the start of the process to its first output, the median of several starts with a warm file
    cache. `versions` are those of the runtime's distributions.
    """

    runtime: str
    artifact: str
    model_bytes: Positive
    libraries: Count
    library_bytes: Count
    stripped_bytes: Count
    compressed_bytes: Count
    cold_start_s: Magnitude
    peak_rss_bytes: Count
    elsewhere: str
    versions: dict[str, str] = {}


Weights = Mapping[str, Footprint]  # by runtime


def read(file: Path) -> Weights:
    """Return a file's rows by runtime, none where nothing was measured; raises DataError where it is broken."""
    rows = records.read(
        file, tuple[Footprint, ...], what="list of what ships", remedy="Delete it and run: nox -s shipping"
    )
    return {row.runtime: row for row in rows or ()}


def total_bytes(row: Measurement, weights: Weights) -> int | None:
    """Return the bytes of a row's model and its runtime's libraries, both compressed, as they are downloaded.

    None where the runtime was not weighed, or on other devices, for the libraries are the desktop's. In the Android app
    the app's build says what an engine takes.
    """
    engine = row.environment.extra.get("engine_bytes")
    if row.device.startswith("app:") and isinstance(engine, int) and row.compressed_bytes is not None:
        return row.compressed_bytes + engine
    if row.device != DESKTOP or row.runtime not in weights or row.compressed_bytes is None:
        return None
    return row.compressed_bytes + weights[row.runtime].compressed_bytes
