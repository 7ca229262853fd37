"""What a stored result was made from, as named digests: they tell whether it is current, and if not, why."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from models.common import files

Inputs = Mapping[str, str]  # a name that a person understands -> a digest


def digest(*parts: object) -> str:
    """Return a short digest of some values, which must print the same in every run."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def of_files(paths: Iterable[Path]) -> str:
    """Return a short digest of some files' contents, in their order."""
    return digest(*(files.sha256(path) for path in paths))


def stale(recorded: Inputs, present: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the names of the inputs that are others now, none where the result is current.

    An input whose present digest is None is not compared: it cannot be read now (a phone that is not connected).
    """
    return tuple(name for name, now in present.items() if now is not None and recorded.get(name) != now)
