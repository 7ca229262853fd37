"""Who may use the machine: cells are judged at the same time, times are taken alone."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from device_tests.machine_lock import MachineLock

WAITING, STARTING, TIMING, JUDGING = "waiting for turns", "starting", "loading and timing alone", "judging"


class Closed(Exception):
    """The run is being interrupted: nothing may start any more."""


class Turns:
    """A lock with two sides: `jobs` holders share the machine, or one has it alone.

    Whoever wants it alone goes first. Holders who share it release it about once a second, so nobody waits for long.
    With `machine`, this machine's lock, the same holds among all runs of Edgewise here. `spent` holds the seconds of
    all holders by purpose: WAITING, TIMING alone, or the purpose of a share.
    """

    def __init__(self, jobs: int, machine: MachineLock | None = None) -> None:
        self.closed = False
        self.spent: Counter[str] = Counter()
        self._machine = machine
        self._jobs = jobs
        self._holders, self._wanting = {True: 0, False: 0}, 0  # who has it alone and who shares it; who wants it alone
        self._changed = threading.Condition()

    def share(self, purpose: str = JUDGING) -> AbstractContextManager[None]:
        """Hold the machine together with others; raises Closed."""
        return self._counted(purpose, self._held(alone=False))

    def alone(self) -> AbstractContextManager[None]:
        """Hold the machine with nobody else; raises Closed."""
        return self._counted(TIMING, self._held(alone=True))

    @contextmanager
    def _counted(self, purpose: str, lock: AbstractContextManager[None]) -> Iterator[None]:
        """Hold the lock: seconds before it is held count as waiting, those after for the purpose."""
        times = [time.perf_counter()]
        try:
            with lock:
                times.append(time.perf_counter())
                yield
        finally:
            began, held, *_ = (*times, time.perf_counter())
            with self._changed:
                self.spent[WAITING] += held - began
                self.spent[purpose] += time.perf_counter() - held

    @contextmanager
    def _held(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            self._wanting += alone
            try:
                self._changed.wait_for(lambda: self.closed or self._is_free(alone=alone))
                self._require_open()
            finally:
                self._wanting -= alone
            self._holders[alone] += 1
        machine = self._machine and (self._machine.alone if alone else self._machine.shared)
        try:
            with machine(lambda: self.closed) if machine else nullcontext():
                self._require_open()
                yield
        finally:
            with self._changed:
                self._holders[alone] -= 1
                self._changed.notify_all()

    def _is_free(self, *, alone: bool) -> bool:
        holds_alone, sharing = self._holders[True], self._holders[False]
        return not holds_alone and (not sharing if alone else not self._wanting and sharing < self._jobs)

    def close(self) -> None:
        """Let nobody in any more; whoever waits gets Closed."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _require_open(self) -> None:
        if self.closed:
            raise Closed
