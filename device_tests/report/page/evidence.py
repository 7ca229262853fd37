"""What separate runs left beside the results: receipts, layers, interleaved times, what ships."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_tests import current
from device_tests.contract import DESKTOP
from device_tests.results import interleaved
from device_tests.results import shipping as footprints
from device_tests.results.interleaved import Timing
from device_tests.results.layers import Layers
from device_tests.results.npu import Npu
from device_tests.results.receipts import Receipt
from device_tests.results.row import Row
from device_tests.results.shipping import Weights
from export.artifact import Artifact

Artifacts = Mapping[str, Artifact | None]  # by id; None where its sidecar cannot be read


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The current ones: receipts and times by row, layers and NPUs by artifact, weights by runtime."""

    receipts: Mapping[str, Receipt]
    timings: Mapping[str, Timing]
    layers: Mapping[str, Layers]
    npus: Mapping[str, Npu]
    weights: Weights


def collect(results: Path, rows: Iterable[Row], artifacts: Artifacts) -> Evidence:
    """Return what the results folder holds for these rows and their artifacts; a broken file counts as missing."""
    there = {row.id: (row, artifact) for row in rows if (artifact := artifacts[row.artifact])}
    return Evidence(
        receipts=_receipts(results, there),
        timings=_timings(results, there),
        layers={
            id: record for id, a in artifacts.items() if a and (record := current.held(current.layers, results, a))
        },
        npus={id: record for id, a in artifacts.items() if a and (record := current.held(current.npu, results, a))},
        weights=current.held(footprints.read, results) or {},
    )


def _receipts(results: Path, there: Mapping[str, tuple[Row, Artifact]]) -> dict[str, Receipt]:
    receipts = {}
    for id, (row, artifact) in there.items():
        if row.device == DESKTOP and (receipt := current.held(current.receipt, results, artifact, row.runtime)):
            receipts[id] = receipt
    return receipts


def _timings(results: Path, there: Mapping[str, tuple[Row, Artifact]]) -> dict[str, Timing]:
    names = dict.fromkeys(f"{row.runtime}@{row.device}" for row, _ in there.values())
    every = (timing for name in names for timing in current.held(interleaved.read, results, name) or ())
    return {t.id: t for t in every if t.id in there and t.artifact_sha256 == there[t.id][1].sha256}
