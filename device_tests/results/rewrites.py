"""What the rewrites of a file (export/rewrites/) bring: the same file with and without them, measured in one run."""

import math
from pathlib import Path

from device_tests.results.latency import Interval
from device_tests.results.store import Store
from models.common.records import Positive, Record, Sha256

FOLDER = "rewrites"


class Pair(Record, kw_only=True):
    """A figure of the file as converted, and of the rewritten one."""

    converted: Positive
    rewritten: Positive

    @property
    def ratio(self) -> float:
        return self.rewritten / self.converted


class Rewritten(Record, kw_only=True):
    """One artifact on one runtime: instructions per inference by device, and rewritten latency / converted latency here.

    The ratio of latencies is from so many `rounds` on `cpu`, None where none were taken.
    """

    artifact: str
    runtime: str
    artifact_sha256: Sha256
    converted_sha256: Sha256
    rewrites: tuple[str, ...]
    bytes: Pair
    instructions: dict[str, Pair] = {}
    latency: Interval | None = None
    rounds: int = 0
    cpu: str = ""

    @property
    def id(self) -> str:
        return f"{self.artifact}@{self.runtime}"

    @property
    def mean(self) -> float | None:
        """The geometric mean of the ratios of instructions, None where nothing was counted."""
        ratios = [pair.ratio for pair in self.instructions.values()]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None

    @property
    def pays(self) -> bool:
        """Whether fewer instructions are executed, on the whole of the devices that were counted on."""
        return self.mean is not None and self.mean < 1


def folder(results: Path) -> Path:
    """Return where the records lie, with all that belongs to the converted files: artifacts, and counts of theirs."""
    return results / FOLDER


REWRITES = Store(
    kind=Rewritten,
    folder=FOLDER,
    what="record of rewrites",
    remedy="Delete it and run: nox -s 'benchmarks(rewrites)'",
)
save, read = REWRITES.save, REWRITES.read
