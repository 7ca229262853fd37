"""What toolchains say at every step, and no user can act upon, is left out."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*messages: str, loggers: tuple[str, ...] = ()) -> Iterator[None]:
    """Leave out warnings that begin with one of these patterns, and what loggers say that is no error."""
    levels = {log: log.level for log in map(logging.getLogger, loggers)}
    with warnings.catch_warnings():
        for message in messages:
            warnings.filterwarnings("ignore", message)
        for log in levels:
            log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for log, level in levels.items():
                log.setLevel(level)
