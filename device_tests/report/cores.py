"""The sweep: which scheme pays on which emulated core, in instructions, and whether it answers there as on the desktop."""

from __future__ import annotations

from dataclasses import dataclass

from device_tests.report.groups import Group
from device_tests.results.row import Row


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one model's artifacts cost on emulated devices: a line per artifact and runtime, a cell per place."""

    model: str
    places: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[str, ...]], ...]


def sweeps(groups: tuple[Group, ...]) -> tuple[Sweep, ...]:
    """Return a sweep per model that ran on emulated devices: instructions, and whether the logits are the desktop's."""
    emulated = [g for g in groups if g.emulated]
    return tuple(
        _sweep(model, {g.place: g.rows for g in emulated if g.model == model})
        for model in dict.fromkeys(g.model for g in emulated)
    )


def _sweep(model: str, by_place: dict[str, tuple[Row, ...]]) -> Sweep:
    known = {(row.artifact, row.runtime, place): row for place, rows in by_place.items() for row in rows}
    lines = tuple(
        (artifact.removeprefix(f"{model}-"), runtime, tuple(_cell(known.get((artifact, runtime, p))) for p in by_place))
        for artifact, runtime in dict.fromkeys((artifact, runtime) for artifact, runtime, _ in known)
    )
    return Sweep(model=model, places=tuple(by_place), lines=lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.outcome != "ok":
        return row.outcome
    counted = "not counted" if row.instructions is None else f"{row.instructions:,}"
    if row.bound_share is not None:
        counted += f" ({row.bound_share:.0%} of the limit)"
    if row.compared is None:
        return counted
    return f"{counted}, {'same' if row.same == row.compared else f'{row.same:,} of {row.compared:,} same'}"
