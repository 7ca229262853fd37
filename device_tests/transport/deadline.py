"""A time limit for processes that have to answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from models.common import processes


@contextmanager
def deadline(process, seconds: float) -> Iterator[threading.Event]:
    """Kill a process if the block takes longer than so many seconds; the event tells that it was killed."""
    expired = threading.Event()

    def give_up() -> None:
        expired.set()
        processes.kill(process)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
