"""The types that rooms share: what a device is asked to do, and what each kind of device must provide."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from device_tests.schedule import Turns
from models.common.errors import EdgewiseError

DESKTOP = "desktop"
HERE = "here"

Ask = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Load:
    """An artifact to load; `timeout_s` is how long the process may show no sign of life."""

    runtime: str
    artifact: Path
    sidecar: Path
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Job(Load):
    """One artifact to time and to run on the evaluation images; waiting for a turn does not count towards `timeout_s`.

    `images` is how many images it runs on, 0 for all; `latency_s` limits the sampling of latencies, 0 for none. A slow
    worker passes the packed logits so far to `enough`, and stops where it returns True.
    """

    reference: Path
    images: int
    latency_s: float
    enough: Callable[[str], bool] = lambda packed: False


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to start on this machine, perhaps a client of another; `env` is added to this process' environment.

    `warm` starts a process that has started the runtime and from which the program can be forked; empty where there is
    none.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()


class Broken(Exception):
    """The process that had an artifact loaded has ended; it carries an outcome and a reason."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


def reason_of(error: Exception) -> str:
    """Return why a cell failed: what an error for people says, and the class of one that nobody foresaw, too."""
    return str(error) if isinstance(error, EdgewiseError) else f"unexpected: {type(error).__name__}: {error}"


class Device(Protocol):
    """Where runtimes run; most devices talk to their workers through device_tests/transport/dialogue.py.

    `host` names the machine that is kept busy: HERE is this one. On an `emulated` device times mean nothing, and none
    are taken. `runtimes` are those that it can have. `counts` tells whether instructions can be counted there: only
    such a device has `counted`. Only the desktop has `loaded`, for latencies are compared there.
    """

    name: str
    host: str
    emulated: bool
    counts: bool
    runtimes: tuple[str, ...]

    def require(self, runtime: str) -> None:
        """Raise EnvironmentMissing, with what to type, where the runtime is not installed on the device."""

    def pins(self, runtime: str) -> tuple[str, ...]:
        """Return what is installed for the runtime; results of another installation are stale."""

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        """Return the worker's row, also of a crash or a hang.

        Raises EdgewiseError where the device itself fails, Closed when the run is interrupted.
        """

    def loaded(self, load: Load) -> AbstractContextManager[tuple[dict[str, Any], Ask]]:
        """Keep an artifact loaded; yield the probe's first row and a function that asks it. Both raise Broken."""

    def counted(self, load: Load, plugin: Path, log: Path) -> Command:
        """Return the command that runs the probe with `--count` under qemu with the plugin, which writes to the log."""

    def stop(self) -> None:
        """Kill all processes of this run on the device."""


class Kind(Protocol):
    """A module of the folder devices: `NAMES` are its devices' names; one that ends in a colon is a prefix.

    `SESSION` is the session of noxfile.py that runs artifacts there. `LOCAL` tells whether its installed packages can
    be listed without a connection.
    """

    NAMES: tuple[str, ...]
    SESSION: str
    LOCAL: bool

    def device(self, name: str) -> Device:
        """Return the device of this name; raises UsageError where there is none."""
