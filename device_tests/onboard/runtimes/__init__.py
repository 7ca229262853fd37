"""One file per runtime. Each stands alone (standard library, numpy, the runtime): it is copied to devices as it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from models.common.registry import Registry

if TYPE_CHECKING:  # nox lists this folder with a Python that has no numpy
    import numpy as np

RUNTIMES = Registry(__name__, "runtime")
# Engines beside the first ones: a quick run leaves them out, and the report shows them once they have run.
FURTHER = ("coreml", "mil_evaluator", "ncnn", "openvino", "tflite_micro")

Infer = Callable[["np.ndarray"], "np.ndarray"]


class Runtime(Protocol):
    """A module of this folder. Its top level imports no runtime: that happens inside the functions.

    `suffixes` are those of the files that it takes, `eager` the framework whose bare networks it runs (or ""),
    `distributions` the packages whose versions a measurement records, `refusals` parts of the messages with which the
    runtime refuses a file.

    A module may also have `timed = False` where its times mean nothing for the device that it stands for; `systems`,
    the only values of sys.platform that it runs on; and `code`, modules of this project that it needs and that no
    device has. The function that `load` returns may have `arena_bytes`, the memory that the network takes on a
    microcontroller.
    """

    suffixes: tuple[str, ...]
    eager: str
    distributions: tuple[str, ...]
    refusals: tuple[str, ...]

    def start(self, threads: int) -> int | None:
        """Import the runtime and set its threads; return how many it uses, None where it cannot tell."""

    def load(self, path: Path, threads: int) -> Infer:
        """Return a function of images, [N,...] in the artifact's input dtype -> [N,K] in its output dtype.

        N is the file's batch. A file for any batch gets one image at a time, and once several.
        """


def is_timed(name: str) -> bool:
    """Tell whether times on a runtime mean anything; on the runtimes of browsers they do."""
    return name not in RUNTIMES.names() or getattr(RUNTIMES[name], "timed", True)


def runs_on(name: str, system: str) -> bool:
    """Tell whether a runtime runs on a system, named as sys.platform names it."""
    return system in getattr(RUNTIMES[name], "systems", (system,))


def here() -> tuple[str, ...]:
    """Return the runtimes that run on this system."""
    return tuple(name for name in RUNTIMES.names() if runs_on(name, sys.platform))


def beside(name: str) -> tuple[str, ...]:
    """Return the modules of this project that a runtime needs beside its own file; no device has them."""
    return getattr(RUNTIMES[name], "code", ())
