"""Where the time of an export goes: a lane's seconds by phase, each counted once."""

import importlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

IMPORT, LOAD, REFERENCE, CALIBRATE, CONVERT, TUNE, INSPECT, JUDGE, REWRITE, OTHER = NAMES = (
    "import", "load", "reference", "calibrate", "convert", "fine-tune", "inspect", "judge", "rewrite", "other",
)  # fmt: skip

_spent: Counter[str] = Counter()
_open: list[str] = [OTHER]
_since = time.perf_counter()


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Count what is done inside as this phase; a phase within it is counted as itself alone."""
    _turn()
    _open.append(name)
    try:
        yield
    finally:
        _turn()
        _open.pop()


def _turn() -> None:
    """Count the time since the last turn for the innermost phase."""
    global _since
    now = time.perf_counter()
    _spent[_open[-1]] += now - _since
    _since = now


def taken() -> dict[str, float]:
    """Return the seconds by phase since the last call."""
    _turn()
    seconds = {name: round(value, 4) for name, value in _spent.items()}
    _spent.clear()
    return seconds


def begin() -> None:
    """Forget the time so far: a lane that waited for work did nothing."""
    global _since
    _since = time.perf_counter()


def watch_imports() -> None:
    """Count what finds and runs modules as a phase: a framework is imported where it is first needed."""
    machinery = importlib._bootstrap
    find_and_load = machinery._find_and_load  # which the import statement calls only for a module that is not there yet

    def watched(name, import_):
        with phase(IMPORT):
            return find_and_load(name, import_)

    machinery._find_and_load = watched
