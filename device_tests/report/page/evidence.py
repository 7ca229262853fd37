"""What separate runs left beside the results: placements, layers, interleaved times, what ships."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_tests import current_results
from device_tests.contract import DESKTOP
from device_tests.results import interleaved
from device_tests.results import shipping as footprints
from device_tests.results.layers import Layers
from device_tests.results.npu import Npu
from device_tests.results.placements import Placement
from device_tests.results.row import Row
from export.artifact import Artifact

Artifacts = Mapping[str, Artifact | None]  # by id; None where its sidecar cannot be read


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The current ones: placements and times by row, layers and NPUs by artifact, weights by runtime."""

    placements: Mapping[str, Placement]
    timings: Mapping[str, interleaved.Timing]
    layers: Mapping[str, Layers]
    npus: Mapping[str, Npu]
    weights: footprints.Weights


def collect(results: Path, rows: Iterable[Row], artifacts: Artifacts) -> Evidence:
    """Return what the results folder holds for these rows and their artifacts; a broken file counts as missing."""
    there = {row.id: (row, artifact) for row in rows if (artifact := artifacts[row.artifact])}
    held = current_results.held
    placements = {
        id: placement
        for id, (row, artifact) in there.items()
        if row.device == DESKTOP and (placement := held(current_results.placement, results, artifact, row.runtime))
    }
    names = dict.fromkeys(f"{row.runtime}@{row.device}" for row, _ in there.values())
    timings = (timing for name in names for timing in held(interleaved.read, results, name) or ())
    readable = {id: artifact for id, artifact in artifacts.items() if artifact}
    layers = {id: record for id, one in readable.items() if (record := held(current_results.layers, results, one))}
    npus = {id: record for id, one in readable.items() if (record := held(current_results.npu, results, one))}
    return Evidence(
        placements=placements,
        timings={t.id: t for t in timings if t.id in there and t.artifact_sha256 == there[t.id][1].sha256},
        layers=layers,
        npus=npus,
        weights=held(footprints.read, results) or {},
    )
