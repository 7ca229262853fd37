"""The rows of a report, grouped by model and place, with what to ship of each."""

from collections import defaultdict
from dataclasses import dataclass
from types import MappingProxyType

from device_tests.onboard.runtimes import is_timed
from device_tests.report import machines
from device_tests.report.advice import Pick, is_eager, picks
from device_tests.results.row import Row
from device_tests.results.shipping import Weights
from device_tests.rows import that_ran

NOT_WEIGHED: Weights = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Group:
    """One model's rows of one place (machines.py); `eager` is the row of the bare network, where it has run."""

    model: str
    place: str
    rows: tuple[Row, ...]
    picks: tuple[Pick, ...]

    @property
    def eager(self) -> Row | None:
        return next((r for r in self.rows if is_eager(r) and r.outcome == "ok"), None)

    @property
    def emulated(self) -> bool:
        """Whether no times are taken at this place; the sweep shows it instead."""
        return any(r.outcome == "ok" and not r.latencies_ns and is_timed(r.runtime) for r in self.rows)


def group(rows: tuple[Row, ...], margin_points: float, weights: Weights = NOT_WEIGHED) -> tuple[Group, ...]:
    """Return the rows by model and place, the eager one first; `weights` are those of the runtimes (shipping.py)."""
    rows = that_ran(rows)
    several = machines.by_device(rows)
    by_place: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_place[row.recipe.model, machines.place(row, several)].append(row)
    groups = []
    order = machines.names(several)
    for (model, place), placed in sorted(by_place.items(), key=lambda item: order.index(item[0][1])):
        own = tuple(sorted(placed, key=lambda r: not is_eager(r)))
        groups.append(Group(model=model, place=place, rows=own, picks=picks(own, margin_points, weights)))
    return tuple(groups)
