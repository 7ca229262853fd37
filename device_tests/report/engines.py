"""Which engine computes the same network in the fewest instructions on an emulated core."""

from collections import defaultdict
from dataclasses import dataclass

from device_tests.report.groups import Group
from device_tests.results.row import Row

TITLE = "instructions per inference of each engine; fewest of a scheme and network: least"
SCHEMES = ("float32", "int8")  # which every engine has


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was counted on emulated devices, of a model or at a place: each line is its names and a tuple of its cells."""

    of: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str | tuple[str, ...], ...], ...]


def races(groups: tuple[Group, ...]) -> tuple[Counts, ...]:
    """Return the counts of each emulated place where several runtimes were counted.

    There is a line per scheme, runtime and format, and a cell per model.
    """
    emulated = [g for g in groups if g.emulated]
    every = (
        _race(place, [g for g in emulated if g.place == place]) for place in dict.fromkeys(g.place for g in emulated)
    )
    return tuple(race for race in every if len({runtime for _, runtime, _, _ in race.lines}) > 1)


def _race(place: str, groups: list[Group]) -> Counts:
    models = tuple(g.model for g in groups)
    by_name: dict[tuple[str, str, str], dict[str, Row]] = defaultdict(dict)
    for g in groups:
        for row in g.rows:
            if row.recipe.scheme in SCHEMES and row.outcome != "skipped":
                by_name[row.recipe.scheme, row.runtime, row.recipe.format][g.model] = row
    least: dict[tuple[str, str], int] = {}
    for (scheme, *_), rows in by_name.items():
        for model, row in rows.items():
            if row.outcome == "ok" and row.instructions is not None:
                least[scheme, model] = min(row.instructions, least.get((scheme, model), row.instructions))
    lines = tuple(
        (*name, tuple(_cell(rows.get(model), least.get((name[0], model))) for model in models))
        for name, rows in sorted(by_name.items(), key=lambda item: (SCHEMES.index(item[0][0]), item[0]))
        if any(row.outcome != "ok" or row.instructions is not None for row in rows.values())
    )
    return Counts(of=place, heads=("scheme", "runtime", "format", *models), lines=lines)


def _cell(row: Row | None, least: int | None) -> str:
    if row is None:
        return ""
    if row.outcome != "ok":
        return row.outcome
    if row.instructions is None:
        return "not counted"
    return f"{row.instructions:,}{', least' if row.instructions == least else ''}"
