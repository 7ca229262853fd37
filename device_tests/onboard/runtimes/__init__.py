"""One file per runtime. Each stands alone (standard library, numpy, the runtime): it is copied to devices as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from models.registry import Registry

if TYPE_CHECKING:  # nox lists this folder with a Python that has no numpy
    import numpy as np

RUNTIMES = Registry(__name__, "runtime")

Infer = Callable[["np.ndarray"], "np.ndarray"]


class Runtime(Protocol):
    """A module of this folder. Its top level imports no runtime: that happens inside the functions.

    `suffixes` are the files that it takes, `eager` the framework whose bare networks it runs (or ""), `distributions`
    the packages whose versions a measurement records, `refusals` what the runtime says of a file that it does not know.
    """

    suffixes: tuple[str, ...]
    eager: str
    distributions: tuple[str, ...]
    refusals: tuple[str, ...]

    def start(self, threads: int) -> int | None:
        """Import the runtime and set its threads; return how many it says it uses, None where it cannot tell."""

    def load(self, path: Path, threads: int) -> Infer:
        """Return a function of one image, [1,...] in the artifact's input dtype -> [1,K] in its output dtype."""
