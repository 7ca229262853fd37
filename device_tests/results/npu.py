"""The record of vela, Arm's compiler for the Ethos-U, for an artifact: vela's own estimates, for nothing ran."""

from operator import attrgetter
from typing import Literal

from device_tests.results.store import Store
from models.common.records import Count, Magnitude, Record, Share

LABEL = "vela's estimate"


class Compiled(Record, kw_only=True):
    """One artifact for one accelerator.

    `outcome` is `ok` where at least one operator goes to the NPU, `unsupported` where all stay on the CPU, which vela
    does not call an error, and `failed` where it crashed or refused. `left` are the operators that stay on the CPU.
    """

    accelerator: str
    outcome: Literal["ok", "unsupported", "failed"]
    reason: str = ""
    npu_operators: Count = 0
    cpu_operators: Count = 0
    left: tuple[str, ...] = ()
    sram_bytes: Count | None = None
    flash_bytes: Count | None = None
    inferences_per_s: Magnitude | None = None

    @property
    def share(self) -> Share:
        """Share of the operators that the NPU takes; 0 where vela gave no file."""
        every = self.npu_operators + self.cpu_operators
        return self.npu_operators / every if every and self.outcome != "failed" else 0.0


class Npu(Record, kw_only=True):
    """An artifact compiled for each accelerator, the smallest first; `key` digests artifact, vela's pins and code."""

    artifact: str
    key: str
    version: str
    compiled: tuple[Compiled, ...]

    @property
    def share(self) -> Share:
        """The smallest share of the operators that an accelerator takes."""
        return min((one.share for one in self.compiled), default=0.0)


NPUS = Store(
    kind=Npu,
    folder="npu",
    what="record of an NPU",
    id=attrgetter("artifact"),
    remedy="Delete it and run: nox -s npu",
)
save, read = NPUS.save, NPUS.read
