"""A lock on this machine, for several runs of Edgewise at once: a run that takes times has the machine alone.

Two files in the user's cache folder are locked, and never deleted. `machine.lock` is held shared for work and
exclusively for times; its content says who took it last. `machine.gate` is held for a moment on the way in, and for as
long as somebody waits to have the machine alone: nobody else enters meanwhile, so the wait ends. The kernel releases
the locks of a process that dies.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from models.data import cache_folder as folder  # where the lock's files lie

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

POLL_S = 0.05
PATIENCE_S = 1.0  # others release the lock about once a second; only a longer wait is worth a message
STARTED = datetime.now(UTC).astimezone().isoformat(sep=" ", timespec="seconds")


class MachineLock:
    """The lock on this machine; `notify` is told once that another run is waited for, or that none can be seen."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._notified = False
        self._notifying = threading.Lock()

    def shared(self, closed: Callable[[], bool] = lambda: False) -> AbstractContextManager[None]:
        """Hold the machine together with other processes; `closed` ends the waiting, and nothing is held then."""
        return self._held(exclusive=False, closed=closed)

    def alone(self, closed: Callable[[], bool] = lambda: False) -> AbstractContextManager[None]:
        """Hold the machine with no other process; `closed` ends the waiting, and nothing is held then."""
        return self._held(exclusive=True, closed=closed)

    @contextmanager
    def _held(self, *, exclusive: bool, closed: Callable[[], bool]) -> Iterator[None]:
        with ExitStack() as files:
            try:
                self._take(files, exclusive=exclusive, closed=closed)
            except OSError as error:
                files.close()
                self._notify_once(
                    f"other runs of Edgewise on this machine cannot be seen ({error}): start no second one"
                )
            yield

    def _take(self, files: ExitStack, *, exclusive: bool, closed: Callable[[], bool]) -> None:
        if fcntl is None:
            raise OSError("this system has no flock")
        folder().mkdir(parents=True, exist_ok=True)
        lock = _opened(folder() / "machine.lock", files)
        with ExitStack() as on_the_way:
            gate = _opened(folder() / "machine.gate", on_the_way)
            began = time.monotonic()
            for file, mode in ((gate, fcntl.LOCK_EX), (lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)):
                while not _locked(file, mode):
                    if closed():
                        return
                    if time.monotonic() - began > PATIENCE_S:
                        self._notify_once(f"waiting for another run of Edgewise on this machine, {_holder(lock)}")
                    time.sleep(POLL_S)
        with suppress(OSError):  # it is only for the message
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n{STARTED}\n".encode(), 0)

    def _notify_once(self, message: str) -> None:
        with self._notifying:
            first, self._notified = not self._notified, True
        if first:
            self._notify(message)


def _opened(path: Path, files: ExitStack) -> int:
    """Open a lock's file until the end of the block; a process that is started meanwhile does not inherit it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    files.callback(os.close, file)
    return file


def _locked(file: int, mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: int) -> str:
    """Return who took the lock last, if that process is still there."""
    with suppress(OSError, ValueError):
        pid, started, *_ = os.pread(lock, 100, 0).decode().split("\n")
        if int(pid) != os.getpid():
            with suppress(PermissionError):  # it is another user's, and there
                os.kill(int(pid), 0)
            return f"process {int(pid)}, started at {started}"
    return "which does not say who it is"
