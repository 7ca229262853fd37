"""One file per device: where runtimes are installed, and how the worker is run there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from device_tests.turns import Turns
from models.registry import Registry

DEVICES = Registry(__name__, "device")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the worker is asked to do.

    `images` is how many it judges on, 0 for all; `latency_s` bounds the sampling of latencies; `timeout_s` is how long
    it may show no sign of life, the waiting for its turn apart.
    """

    runtime: str
    artifact: Path
    sidecar: Path
    reference: Path
    images: int
    latency_s: float
    timeout_s: float


class Device(Protocol):
    """A module of this folder."""

    def require(self, runtime: str) -> None:
        """Raise EnvironmentMissing, which says how to install it, where the runtime is not on the device."""

    def pins(self, runtime: str) -> tuple[str, ...]:
        """Return what is installed for the runtime: a result of another installation is not current."""

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        """Return the worker's row; a crash and a hang are rows too. Raises Closed when the run is interrupted."""

    def stop(self) -> None:
        """Kill whatever is running there for this run."""
