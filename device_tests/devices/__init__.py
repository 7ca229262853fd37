"""One file per kind of device: where runtimes are installed, and how the worker is run there."""

from functools import cache

from device_tests.contract import DESKTOP, Device, Kind
from models import suggested_commands
from models.common.errors import UsageError, did_you_mean
from models.common.registry import Registry

KINDS = Registry(__name__, "kind of device")


def names() -> tuple[str, ...]:
    """Return the devices' names; one that ends in a colon is a prefix of names."""
    return tuple(own for kind in KINDS.names() for own in KINDS[kind].NAMES)


@cache
def device(name: str) -> Device:
    """Return the device of a name; raises UsageError where there is none."""
    kind = _kind(name)
    if kind is None:
        raise UsageError(f"There is no device called {name!r}. {did_you_mean(name, names())}")
    return kind.device(name)


def command(name: str, only: str) -> str:
    """Return what a person types to run some cells on a device."""
    kind = _kind(name)
    if kind is None:  # it has no worker: its results were imported
        return f"measure it on {name} again, and add what it gives to the results"
    named = "" if name == DESKTOP else f"--device '{name}' "
    return suggested_commands.nox(f"'{kind.SESSION}'", f"{named}--only '{only}'")


def _kind(name: str) -> Kind | None:
    kinds = {own: KINDS[kind] for kind in KINDS.names() for own in KINDS[kind].NAMES}
    return kinds.get(name) or kinds.get(name.partition(":")[0] + ":")


def exists(name: str) -> bool:
    """Tell whether artifacts can be run on a device of this name; results of a browser are only imported."""
    return _kind(name) is not None


def is_local(name: str) -> bool:
    """Tell whether a device's packages can be listed without asking another machine or phone."""
    kind = _kind(name)
    return kind is not None and kind.LOCAL
