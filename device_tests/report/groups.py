"""The rows of a report, grouped by model and place, with what to ship of each.

A place is a device on one machine, and figures are compared within one place only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from device_tests.onboard.runtimes import is_timed
from device_tests.report.advice import Pick, is_eager, picks
from device_tests.results.measurement import Environment
from device_tests.results.row import Row
from device_tests.results.shipping import Weights
from device_tests.rows import that_ran

NOT_WEIGHED: Weights = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Group:
    """One model's rows of one place; `eager` is the row of the bare network, where it has run."""

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
    machines = by_device(rows)
    by_place: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_place[row.recipe.model, place(row, machines)].append(row)
    groups = []
    order = place_names(machines)
    for (model, where), placed in sorted(by_place.items(), key=lambda item: order.index(item[0][1])):
        own = tuple(sorted(placed, key=lambda r: not is_eager(r)))
        groups.append(Group(model=model, place=where, rows=own, picks=picks(own, margin_points, weights)))
    return tuple(groups)


def hardware(environment: Environment) -> str:
    """Return the processor and the system of an environment, "" where nothing ran."""
    cpus = f"{environment.cpus} CPUs" if environment.cpus else ""
    return ", ".join(part for part in (environment.cpu, cpus, environment.os) if part)


def by_device(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Return the machines of each device, the one with most rows first; none for a device that never ran."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.device, Counter()).update(filter(None, [hardware(row.environment)]))
    return {device: [name for name, _ in names.most_common()] for device, names in counts.items()}


def place(row: Row, machines: dict[str, list[str]]) -> str:
    """Return where a row was measured: its device, numbered where rows come from several machines.

    A row that did not run belongs to the first machine.
    """
    ran_on = hardware(row.environment)
    return _names(row.device, machines)[machines[row.device].index(ran_on) if ran_on else 0]


def place_names(machines: dict[str, list[str]]) -> list[str]:
    """Return every place, those of one device together."""
    return [name for device in machines for name in _names(device, machines)]


def _names(device: str, machines: dict[str, list[str]]) -> list[str]:
    several = len(machines[device])
    return [device] if several < 2 else [f"{device} (machine {i})" for i in range(1, several + 1)]


def of_several_machines(machines: dict[str, list[str]]) -> list[str]:
    """Return a sentence for each device whose rows come from several machines."""
    lines = []
    for device, several in machines.items():
        if len(several) > 1:
            named = "; ".join(f"machine {i} is {name}" for i, name in enumerate(several, start=1))
            lines.append(f"The rows of {device} come from {len(several)} machines, and nothing is compared across them: "
                         f"{named}. To compare them, measure all of them on one, with --force.")  # fmt: skip
    return lines
