"""Cells: which artifact runs on which runtime. Listing them imports no framework and needs no artifact."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from device_tests import devices
from device_tests.contract import DESKTOP
from device_tests.onboard.runtimes import FURTHER, RUNTIMES, is_timed
from export import matrix
from export.formats import FORMATS
from models import suggested_commands
from models.common.errors import DataError, UsageError, did_you_mean

EAGER = "eager"
Names = tuple[str, ...]  # of runtimes or devices, or globs


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One artifact on one runtime on one device. Its `id` is file name, test id and report row."""

    recipe: matrix.Recipe
    runtime: str
    device: str

    @property
    def id(self) -> str:
        return f"{self.recipe.id}@{self.runtime}@{self.device}"

    @property
    def further(self) -> bool:
        """Whether a quick run leaves this cell out: its engine is not among the first ones."""
        return self.runtime in FURTHER or self.recipe.format in matrix.FURTHER

    def matches(self, pattern: str) -> bool:
        """Tell whether a glob names this cell, by its artifact or by its full id."""
        return fnmatch.fnmatchcase(self.id, pattern) or fnmatch.fnmatchcase(self.recipe.id, pattern)


def cells(*names: str) -> tuple[Cell, ...]:
    """Return every cell of devices, the desktop without a name, each in the matrix' order.

    A bare network runs on its own framework only.
    """
    every: list[Cell] = []
    for name in dict.fromkeys(names or (DESKTOP,)):
        there = devices.device(name)  # whose name may be longer: `android:` is the only one that is connected
        runtimes = [runtime for runtime in RUNTIMES.names() if runtime in there.runtimes]
        pairs = ((recipe, runtime) for recipe in matrix.recipes() for runtime in runtimes if takes(runtime, recipe))
        every += (Cell(recipe=recipe, runtime=runtime, device=there.name) for recipe, runtime in pairs)
    return tuple(every)


def possible() -> tuple[Cell, ...]:
    """Return the cells of every device; one device called NAME stands for all phones, and one for all boards."""
    return cells(*(f"{name}NAME" if name.endswith(":") else name for name in devices.names()))


def require_artifacts(folder: Path) -> None:
    """Raise DataError, which says how to make them, where there is no folder of artifacts."""
    if not folder.is_dir():
        raise DataError(f"There are no artifacts in {folder}. Make them with: {suggested_commands.nox('export')}")


def takes(runtime: str, recipe: matrix.Recipe) -> bool:
    """Tell whether a runtime takes what a recipe yields."""
    module = RUNTIMES[runtime]
    if recipe.format == EAGER:
        return module.eager == recipe.framework
    return FORMATS[recipe.format].suffix in module.suffixes


def timed(every: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Return the cells of runtimes whose times, instructions and libraries mean something for the device."""
    return tuple(cell for cell in every if is_timed(cell.runtime))


def select(every: tuple[Cell, ...], *, runtimes: Names, patterns: Names) -> tuple[Cell, ...]:
    """Return the cells of these runtimes that match one of the globs; all runtimes and all ids where none is given.

    Raises UsageError for an unknown runtime, and for a glob that matches no cell of any runtime. A glob that matches
    only cells of other runtimes is no error, so that a run over all runtimes can use one glob.
    """
    for runtime in runtimes:
        RUNTIMES.path(runtime)
    for pattern in patterns:
        if not any(cell.matches(pattern) for cell in every):
            ids = {name for cell in every for name in (cell.id if "@" in pattern else cell.recipe.id,)}
            near = did_you_mean(pattern, ids)
            msg = f"--only {pattern!r} matches no cell. {near} An id is ARTIFACT or ARTIFACT@RUNTIME@DEVICE."
            raise UsageError(msg)
    return tuple(
        cell
        for cell in every
        if (not runtimes or cell.runtime in runtimes) and (not patterns or any(cell.matches(p) for p in patterns))
    )
