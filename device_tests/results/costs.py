"""What runs of their own found out about a cell: instructions, interleaved latency, what a delegate took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from device_tests.measure import compatibility, instructions
from device_tests.results import interleaved, parity
from device_tests.contract import DESKTOP
from device_tests.measure.explain import run as explain
from device_tests.results.measurement import Measurement
from export.artifact import Artifact

Facts = dict[str, Any]
Ratios = dict[tuple[str, str], Facts]  # by cell and the artifact's SHA-256


def attach(row: Measurement, artifact: Artifact, results: Path, ratios: Ratios) -> Measurement:
    """Return an artifact's row with these figures, as far as they are there and still hold; raises DataError."""
    if row.outcome != "ok":
        return row
    receipt = None
    if row.device == DESKTOP:  # where receipts are made
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
    timed = (timing for runtime in runtimes for timing in interleaved.read(results, runtime) if timing.ratio)
    return {
        (t.id, t.artifact_sha256): {
            "latency_ratio": t.ratio.value,
            "latency_ratio_low": t.ratio.low,
            "latency_ratio_high": t.ratio.high,
        }
        for t in timed
    }


def _instructions(row: Measurement, results: Path) -> Facts:
    count = instructions.read(instructions.path(results, row.id))
    if count is None or count.artifact_sha256 != row.artifact_sha256 or count.instructions is None:
        return {}
    return {"instructions": count.instructions, "instructions_cpu": count.cpu}


def _versions(row: Measurement, results: Path) -> Facts:
    grid = compatibility.read(compatibility.path(results, row.artifact, row.runtime))
    return {"oldest_runtime": grid.says} if grid and grid.artifact_sha256 == row.artifact_sha256 else {}
