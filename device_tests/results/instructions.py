"""Counts of executed instructions, in a folder beside the results; another run may renew them."""

from device_tests.results.measurement import Outcome
from device_tests.results.store import Store
from models.common.records import Magnitude, Positive, Record, Sha256


class InstructionCount(Record, kw_only=True):
    """Executed guest instructions of one artifact on one runtime; each of the `samples` is of one warm inference."""

    artifact: str
    runtime: str
    device: str
    outcome: Outcome = "ok"
    reason: str = ""
    samples: tuple[Positive, ...] = ()
    cpu: str = ""
    qemu: str = ""
    inputs: dict[str, str] = {}
    artifact_sha256: Sha256 = ""
    seconds: Magnitude = 0.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.outcome == "ok" and not self.samples:
            raise ValueError("it is ok without a sample")

    @property
    def id(self) -> str:
        return f"{self.artifact}@{self.runtime}@{self.device}"

    @property
    def instructions(self) -> int | None:
        """The smallest sample, for what a runtime does now and then only adds instructions."""
        return min(self.samples) if self.samples else None

    @property
    def spread(self) -> float | None:
        """The range of the samples, as a share of the smallest."""
        return (max(self.samples) - min(self.samples)) / self.instructions if self.samples else None


COUNTS = Store(
    kind=InstructionCount,
    folder="instructions",
    what="count of instructions",
    remedy="Delete it, or count again: nox -s instructions",
)
path, save, read = COUNTS.path, COUNTS.save, COUNTS.read_file
