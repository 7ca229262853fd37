"""One file per device: where runtimes are installed, and how the worker is run there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from device_tests.turns import Turns
from models.registry import Registry

DEVICES = Registry(__name__, "device")


Ask = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Load:
    """An artifact to load; `timeout_s` is how long it may show no sign of life."""

    runtime: str
    artifact: Path
    sidecar: Path
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Job(Load):
    """What the worker is asked to do; the waiting for its turn does not count as no sign of life.

    `images` is how many it judges on, 0 for all; `latency_s` bounds the sampling of latencies.
    """

    reference: Path
    images: int
    latency_s: float


class Broken(Exception):
    """What an artifact was loaded in has ended, with an outcome and its reason."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


class Device(Protocol):
    """A module of this folder."""

    def require(self, runtime: str) -> None:
        """Raise EnvironmentMissing, which says how to install it, where the runtime is not on the device."""

    def pins(self, runtime: str) -> tuple[str, ...]:
        """Return what is installed for the runtime: a result of another installation is not current."""

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        """Return the worker's row; a crash and a hang are rows too. Raises Closed when the run is interrupted."""

    def loaded(self, load: Load) -> AbstractContextManager[tuple[dict[str, Any], Ask]]:
        """Keep an artifact loaded; give what the probe said first, and a function that asks it. Both raise Broken."""

    def stop(self) -> None:
        """Kill whatever is running there for this run."""
