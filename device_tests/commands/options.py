"""The options that several commands share, each with its range, defined once."""

from pathlib import Path

import click

from device_tests import devices as kinds
from device_tests.measure import import_results
from models.common.errors import UsageError, did_you_mean
from models.options import SECONDS_A_DAY, Finite, Place, Word, beside, models

FOLDER = Place(path_type=Path, file_okay=False)
FILE = Place(path_type=Path, dir_okay=False)
GLOB, NAME = Word("glob"), Word("name")
SECONDS = Finite(0, SECONDS_A_DAY, above=True)
PERCENTAGE_POINTS = Finite(0, 100)

only = click.option(
    "--only", "patterns", multiple=True, type=GLOB, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE]."
)
runtimes = click.option(
    "--runtime", "runtimes", multiple=True, type=NAME, metavar="NAME", help="Only this runtime; may be repeated."
)
artifacts = beside("--artifacts", name="artifacts", kind=FOLDER, text="Where they are.")
results = beside("--results", name="results", kind=FOLDER, text="Where results are.")


def places(function):
    """Add the options of the networks, the artifacts and the results."""
    return models(artifacts(results(function)))


budgets = beside("--budgets", name="budgets.toml", kind=FILE, text="Limits and expected outcomes.")
listing = click.option("--list", "listing", is_flag=True, help="List the cells and end.")


def _existing(context: click.Context, option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of devices; raises UsageError for one that no machine or importer can have measured."""
    existing = kinds.names()
    for name in names:
        kind = f"{name.partition(':')[0]}:"
        if name not in existing and kind not in existing and not import_results.DEVICE.fullmatch(name):
            raise UsageError(f"There is no device called {name!r}. {did_you_mean(name, (*existing, 'browser:NAME'))}")
    return names


def devices(text: str, name: str = "chosen_devices", kind: click.ParamType = NAME, **more):
    """Return the option that names devices, perhaps several times."""
    return click.option("--device", name, multiple=True, type=kind, metavar="NAME", help=text, **more)


device = devices("Only this device; may be repeated.", callback=_existing)


def jobs(default: int, text: str):
    """Return the option for how many cells are worked on at the same time."""
    return click.option("--jobs", default=default, show_default=True, type=click.IntRange(1, 64), help=text)


def seconds(name: str, default: float, text: str):
    """Return an option of seconds, which the command gets as NAME_s."""
    return click.option(f"--{name}", f"{name}_s", default=default, show_default=True, type=SECONDS, help=text)
