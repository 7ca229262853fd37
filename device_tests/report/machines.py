"""Where rows were measured: a place is a device on one machine, and figures are compared within one place only."""

from collections import Counter
from collections.abc import Iterable

from device_tests.results.measurement import Environment
from device_tests.results.row import Row


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


def names(machines: dict[str, list[str]]) -> list[str]:
    """Return every place, those of one device together."""
    return [name for device in machines for name in _names(device, machines)]


def _names(device: str, machines: dict[str, list[str]]) -> list[str]:
    several = len(machines[device])
    return [device] if several < 2 else [f"{device} (machine {i})" for i in range(1, several + 1)]


def warnings(machines: dict[str, list[str]]) -> list[str]:
    """Return a sentence for each device whose rows come from several machines."""
    lines = []
    for device, several in machines.items():
        if len(several) > 1:
            named = "; ".join(f"machine {i} is {name}" for i, name in enumerate(several, start=1))
            lines.append(f"The rows of {device} come from {len(several)} machines, and nothing is compared across them: "
                         f"{named}. To compare them, measure all of them on one, with --force.")  # fmt: skip
    return lines
