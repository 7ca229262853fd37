"""What runs of their own found out about a cell: instructions, interleaved latency, what a delegate took."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from device_tests import compatibility, instructions, parity
from device_tests.explain import run as explain
from device_tests.measurement import Measurement
from export.artifact import Artifact
from models.errors import DataError

Facts = dict[str, Any]
Ratios = dict[tuple[str, str], Facts]  # by cell and the artifact's SHA-256


def attach(row: Measurement, artifact: Artifact, results: Path, ratios: Ratios) -> Measurement:
    """Return an artifact's row with these figures, as far as they are there and still hold; raises DataError."""
    if row.outcome != "ok":
        return row
    receipt = explain.current(results / "receipts" / f"{row.artifact}@{row.runtime}.json", artifact, row.runtime)
    return replace(
        row,
        **_instructions(row, results),
        **parity.compare(row, results),
        **_versions(row, results),
        **({"delegated_share": receipt.delegated_macs} if receipt else {}),
        **ratios.get((row.id, artifact.sha256), {}),
    )


def ratios(results: Path, runtimes: Iterable[str]) -> Ratios:
    """Return the ratios to the float32 row that interleaved runs found, on each of these RUNTIME@DEVICE."""
    found: Ratios = {}
    for runtime in runtimes:
        found |= _ratios(results / "latency" / f"{runtime}.json")
    return found


def _instructions(row: Measurement, results: Path) -> Facts:
    count = instructions.read(instructions.path(results, row.id))
    if count is None or count.artifact_sha256 != row.artifact_sha256 or count.instructions is None:
        return {}
    return {"instructions": count.instructions, "instructions_cpu": count.cpu}


def _versions(row: Measurement, results: Path) -> Facts:
    grid = compatibility.read(compatibility.path(results, row.artifact, row.runtime))
    return {"oldest_runtime": grid.says} if grid and grid.artifact_sha256 == row.artifact_sha256 else {}


def _ratios(file: Path) -> Ratios:
    try:
        content = json.loads(file.read_text())
        timed = {series["id"]: series["artifact_sha256"] for series in content["series"]}
        return {
            (row["id"], timed[row["id"]]): {
                "latency_ratio": ratio["value"],
                "latency_ratio_low": ratio["low"],
                "latency_ratio_high": ratio["high"],
            }
            for row in content["summary"]
            if (ratio := row.get("ratio"))
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file} is no interleaved run ({type(error).__name__}: {error}). Delete it and run: nox -s latency"
        raise DataError(msg) from error
