"""A device or runtime that a person names must be there and must run: a run in which nothing ran is no success."""

from collections.abc import Iterable, Mapping

from device_tests import devices as kinds
from device_tests.cells import Cell, Names, cells, possible, select
from device_tests.results import parity
from models import networks
from models.common.console import out, plain
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, UsageError


def ids(every: Iterable[Cell]) -> tuple[str, ...]:
    """Return the ids that budgets may name: those of these cells, and of every possible cell on any device or browser."""
    browsers = (
        f"{cell.recipe.id}@{runtime}@browser:NAME"
        for runtime, here in parity.IN_BROWSERS.items()
        for cell in cells()
        if cell.runtime == here
    )
    return tuple(dict.fromkeys((*(cell.id for cell in (*possible(), *every)), *browsers)))


def chosen(
    every: tuple[Cell, ...], *, runtimes: Names, patterns: Names, devices: Names = (), quick: bool = False
) -> tuple[Cell, ...]:
    """Return the cells that runtimes and globs choose; a quick run leaves out further engines where neither is given.

    Raises UsageError where no device has a named runtime, or where a named device has none of the runtimes.
    """
    selected = select(every, runtimes=runtimes, patterns=patterns)
    there: dict[str, set[str]] = {}
    for cell in every:
        there.setdefault(cell.device, set()).add(cell.runtime)
    for runtime in runtimes:
        if not any(runtime in offered_there for offered_there in there.values()):
            offers = "; ".join(f"{device} offers {', '.join(sorted(names))}" for device, names in there.items())
            raise UsageError(f"{runtime} runs on none of the devices: {offers}.")
    for name in devices:
        device = kinds.device(name).name
        if runtimes and not there.get(device, set()) & set(runtimes):
            raise UsageError(
                f"{device} offers none of {', '.join(runtimes)}; it offers {', '.join(sorted(there.get(device, ())))}."
            )
    if quick and not runtimes and not patterns:  # edgewise.toml may ask for further engines only
        return tuple(cell for cell in selected if not cell.further) or selected
    return selected


def require(chosen: tuple[Cell, ...], runtimes: Names) -> None:
    """Raise EnvironmentMissing where a named runtime is not installed on a device that offers it."""
    for runtime, device in dict.fromkeys((cell.runtime, cell.device) for cell in chosen if cell.runtime in runtimes):
        kinds.device(device).require(runtime)


def fail(lines: list[str], *, word: str, summary: str) -> None:
    """Raise EdgewiseError that lists what is wrong with artifacts; of a user's own networks that is only printed.

    A toolchain's defects on those are no regression of this project.
    """
    if networks.folder():
        for line in lines:
            out.print(f"[yellow]{word}[/] {plain(line)}", soft_wrap=True)
    elif lines:
        listed = "".join(f"\n  {line}" for line in lines)
        raise EdgewiseError(f"{len(lines)} {summary}:{listed}")


def fail_on_nothing(
    chosen: tuple[Cell, ...], lacking: Mapping[str, EdgewiseError], *, runtimes: Names, devices: Names
) -> None:
    """Raise an error where no cell of a named device or runtime ran, or no cell at all.

    `lacking` holds, by the cell's id, the error that kept it from running; the first one is raised. That no cell is
    chosen is no error: one glob may serve several runs.
    """
    names = {kinds.device(name).name for name in devices}
    groups = [(f"on {name}", [c.id for c in chosen if c.device == name]) for name in sorted(names)]
    groups += [(f"on {name}", [c.id for c in chosen if c.runtime == name]) for name in runtimes]
    groups += [("at all", [c.id for c in chosen])]
    for where, ids in groups:
        if ids and all(id in lacking for id in ids):
            why = lacking[ids[0]]
            msg = f"Nothing ran {where}: {why}"
            raise (EnvironmentMissing if isinstance(why, EnvironmentMissing) else DataError)(msg) from why
