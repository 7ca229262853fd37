"""The types that rooms share: what a device is asked to do, and what a kind of device provides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from device_tests.schedule import Turns

DESKTOP = "desktop"
HERE = "here"

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

    `images` is how many it judges on, 0 for all; `latency_s` bounds the sampling of latencies, 0 for none. A slow worker
    asks `enough` of the logits so far, packed: True ends the judging.
    """

    reference: Path
    images: int
    latency_s: float
    enough: Callable[[str], bool] = lambda packed: False


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to start on this machine, which may be the client of another; `env` is added to this process' own.

    `warm` starts a process from which the program can be forked with its runtime started; empty where there is none.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()


class Broken(Exception):
    """What an artifact was loaded in has ended, with an outcome and its reason."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


class Device(Protocol):
    """Where runtimes run; most talk to their workers through device_tests/transport/dialogue.py.

    `host` is whose processor it keeps busy: this machine's, which is HERE, or its own. `emulated` says that times there
    mean nothing: none are taken. `runtimes` are those that can be had there. `counts` says that instructions can be
    counted there.
    """

    name: str
    host: str
    emulated: bool
    counts: bool
    runtimes: tuple[str, ...]

    def require(self, runtime: str) -> None:
        """Raise EnvironmentMissing, which says how to install it, where the runtime is not on the device."""

    def pins(self, runtime: str) -> tuple[str, ...]:
        """Return what is installed for the runtime: a result of another installation is not current."""

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        """Return the worker's row; a crash and a hang are rows too. Raises Closed when the run is interrupted."""

    def loaded(self, load: Load) -> AbstractContextManager[tuple[dict[str, Any], Ask]]:
        """Keep an artifact loaded; give what the probe said first, and a function that asks it. Both raise Broken."""

    def counted(self, load: Load, plugin: Path, log: Path) -> Command:
        """Return what runs the probe with `--count` under qemu with the plugin, which writes to the log."""

    def stop(self) -> None:
        """Kill whatever is running there for this run."""


class Kind(Protocol):
    """A module of this folder: `NAMES` are its devices', or their beginnings where they end in a colon.

    `SESSION` is that of noxfile.py which runs artifacts there; `LOCAL` tells whether what is installed there is known
    without a connection.
    """

    NAMES: tuple[str, ...]
    SESSION: str
    LOCAL: bool

    def device(self, name: str) -> Device:
        """Return the device of this name; raises UsageError where the name is none."""
