"""Who may use the machine: answers are judged side by side, times are taken alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from device_tests.machine import Machine


class Closed(Exception):
    """The run is being interrupted: nothing may start any more."""


class Turns:
    """A lock with two sides: `jobs` holders share the machine, or one has it alone.

    Who wants it alone goes first. Holders who share it let go about once a second, so that nobody waits for long. With
    `machine`, this machine's lock, the same holds among all runs of Edgewise here.
    """

    def __init__(self, jobs: int, machine: Machine | None = None) -> None:
        self.closed = False
        self._machine = machine
        self._jobs = jobs
        self._sharing = self._wanting = 0
        self._alone = False
        self._changed = threading.Condition()

    @contextmanager
    def share(self) -> Iterator[None]:
        """Hold the machine together with others; raises Closed."""
        with self._changed:
            self._wait(lambda: not self._alone and not self._wanting and self._sharing < self._jobs)
            self._sharing += 1
        try:
            with self._machine.shared(self._is_closed) if self._machine else nullcontext():
                self._require_open()
                yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the machine with nobody else; raises Closed."""
        with self._changed:
            self._wanting += 1
            try:
                self._wait(lambda: not self._alone and not self._sharing)
            finally:
                self._wanting -= 1
            self._alone = True
        try:
            with self._machine.alone(self._is_closed) if self._machine else nullcontext():
                self._require_open()
                yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more; those who wait get Closed."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _wait(self, free: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self.closed or free())
        self._require_open()

    def _is_closed(self) -> bool:
        return self.closed

    def _require_open(self) -> None:
        if self.closed:
            raise Closed
