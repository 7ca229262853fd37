"""Adds the figures of separate runs to a measurement: instructions, interleaved latency, placement, versions."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import structs

from device_tests import current_results
from device_tests.contract import DESKTOP
from device_tests.results import bounds, compatibility, interleaved, parity
from device_tests.results.row import Row
from export.artifact import Artifact
from export.schemes import described
from models.common.errors import DataError

Facts = dict[str, Any]
MICRO = "tflite_micro"


class Added:
    """The figures of separate runs in a results folder, for rows of some RUNTIME@DEVICE."""

    def __init__(self, results: Path, timed: Iterable[str]) -> None:
        self.results = results
        self.broken: dict[str, str] = {}  # by RUNTIME@DEVICE, why a file could not be read
        self._timings = {}
        for name in timed:
            try:
                self._timings |= {(t.id, t.artifact_sha256): t for t in interleaved.read(results, name)}
            except DataError as error:
                self.broken[name] = str(error)

    def to(self, row: Row, artifact: Artifact) -> Row:
        """Return an artifact's row with the figures that are there and current; a broken record becomes a note."""
        if row.outcome != "ok":
            return row
        facts: Facts = {name: getattr(artifact, name) for name in ("covered_share", "covered_macs", "batch")}
        facts["options"] = described(artifact.options)
        notes = [why for name, why in self.broken.items() if name == f"{row.runtime}@{row.device}"]
        reads = (self._instructions, self._placement, self._latency, lambda row, _: parity.compare(row, self.results))
        for read in (*reads, self._versions, self._npu, self._rewrites):
            try:
                facts |= read(row, artifact)
            except DataError as error:
                notes.append(str(error))
        return structs.replace(row, **facts, notes=(*row.notes, *notes))

    def _instructions(self, row: Row, artifact: Artifact) -> Facts:
        count = current_results.instructions(self.results, artifact, row.runtime, row.device)
        if count is None or count.instructions is None:
            return {}
        facts = {"instructions": count.instructions, "instructions_cpu": count.cpu}
        if reached := bounds.bound(row.device, artifact, count.instructions):
            facts |= {"bound_share": reached.share, "bound": reached.limit}
        return facts

    def _placement(self, row: Row, artifact: Artifact) -> Facts:
        if row.device != DESKTOP:  # placements are made on the desktop only
            return {}
        placement = current_results.placement(self.results, artifact, row.runtime)
        return {"delegated_share": placement.delegated_macs} if placement else {}

    def _latency(self, row: Row, artifact: Artifact) -> Facts:
        timing = self._timings.get((row.id, artifact.sha256))
        if timing is None:
            return {}
        facts = {} if timing.roof_share is None else {"roof_share": timing.roof_share, "roof": timing.roof}
        if ratio := timing.ratio:
            facts |= {"latency_ratio": ratio.value, "latency_ratio_low": ratio.low, "latency_ratio_high": ratio.high}
        return facts

    def _npu(self, row: Row, artifact: Artifact) -> Facts:
        if row.runtime != MICRO:  # vela's files are for the same kernels
            return {}
        record = current_results.npu(self.results, artifact)
        return {"npu_share": record.share} if record else {}

    def _rewrites(self, row: Row, artifact: Artifact) -> Facts:
        if not artifact.rewrites:
            return {}
        facts: Facts = {"rewrites": ", ".join(rewrite.name for rewrite in artifact.rewrites)}
        record = current_results.rewritten(self.results, artifact, row.runtime)
        if record and row.device == DESKTOP and record.latency:
            facts["rewrites_latency"] = record.latency.value
        if record and row.device in record.instructions:
            facts["rewrites_instructions"] = record.instructions[row.device].ratio
        return facts

    def _versions(self, row: Row, artifact: Artifact) -> Facts:
        runtime = compatibility.in_the_app(row.runtime) if row.device.startswith("app:") else row.runtime
        grid = compatibility.read(self.results, f"{row.artifact}@{runtime}")
        return {"oldest_runtime": grid.summary} if grid and grid.artifact_sha256 == row.artifact_sha256 else {}
