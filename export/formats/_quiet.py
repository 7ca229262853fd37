"""What toolchains say at every step, and no user can act upon, is left out."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*messages: str, logger: str = "") -> Iterator[None]:
    """Leave out warnings that begin with one of these patterns, and what a logger says that is no error."""
    log = logging.getLogger(logger)
    level = log.level
    with warnings.catch_warnings():
        for message in messages:
            warnings.filterwarnings("ignore", message)
        if logger:
            log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
