"""What an interleaved run found out about an artifact: quantiles, the ratio to float32, the share of the peak."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_tests.results.latency import NARROW, Interval
from models import files
from models.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One row of `nox -s latency`: times in ns, and the ratio to the float32 row of the same runtime and rounds.

    `roof_share` is of one core's peak, `roof_macs_per_s` in the arithmetic `roof`. A figure that could not be told, for
    too few samples or without a float32 row, is None.
    """

    id: str
    artifact_sha256: str
    p50_ns: Interval | None
    p90_ns: Interval | None
    p99_ns: Interval | None
    ratio: Interval | None
    roof: str
    roof_share: float | None
    roof_macs_per_s: float | None
    rounds: int
    samples: int
    seed: int
    date: str
    environment: dict[str, Any]

    @property
    def noisy(self) -> bool:
        """Whether the median itself is not known narrowly enough to speak of it."""
        return self.p50_ns is None or self.p50_ns.width > NARROW


def read(results: Path, name: str) -> tuple[Timing, ...]:
    """Return what the last interleaved run of a RUNTIME@DEVICE found; raises DataError where the file is broken."""
    file = results / "latency" / f"{files.stem(name)}.json"
    try:
        content = json.loads(file.read_text())
        series = {one["id"]: one for one in content["series"]}
        peaks = {roof["dtype"]: roof["macs_per_s"] for roof in content["roofs"]}
        return tuple(_timing(row, series[row["id"]], peaks, content) for row in content["summary"] if "rounds" in row)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file} is no interleaved run ({type(error).__name__}: {error}). Delete it and run: nox -s latency"
        raise DataError(msg) from error


def _timing(row: dict, series: dict, peaks: dict[str, float], run: dict) -> Timing:
    intervals = {name: row[name] and Interval(**row[name]) for name in ("p50_ns", "p90_ns", "p99_ns", "ratio")}
    return Timing(
        id=row["id"],
        artifact_sha256=series["artifact_sha256"],
        **intervals,
        roof=row["roof"],
        roof_share=row["roof_share"],
        roof_macs_per_s=peaks.get(row["roof"]),
        rounds=row["rounds"],
        samples=row["samples"],
        seed=run["seed"],
        date=run["date"],
        environment=series["environment"],
    )
