"""Types of command-line parameters: each refuses what makes no sense before anything is read or started."""

import errno
import math
import os
from pathlib import Path
from typing import Any

import click

from models import networks

SECONDS_A_DAY = 86_400.0
SEEDS = click.IntRange(0, 2**32 - 1)


class Finite(click.FloatRange):
    """A number with both bounds, neither NaN nor infinite."""

    def __init__(self, least: float, most: float, *, above: bool = False) -> None:
        """Take numbers from `least`, or from `above` it, up to `most`."""
        super().__init__(min=least, max=most, min_open=above)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return number


class Place(click.Path):
    """A file or folder: no empty name, nothing that the file system cannot name, no dash that looks like an option."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = os.fsdecode(value)
        if not text.strip():
            self.fail("the name is empty: say which file or folder.", param, ctx)
        if text.startswith("-"):
            self.fail(f"{text!r} begins with a dash: for a file of that name say {'./' + text!r}.", param, ctx)
        try:
            os.lstat(text)
        except ValueError:
            self.fail(f"{text!r} holds a NUL character.", param, ctx)
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
                self.fail(f"{text[:40]!r}...: {error.strerror}.", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = Place(path_type=Path)  # a file in its place is reported by whoever writes there


class Word(click.ParamType):
    """A name or a glob: one line that holds something."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail(f"the {self.name} is empty.", param, ctx)
        if not text.isprintable():
            self.fail(f"{text!r} holds control characters.", param, ctx)
        return text


def _choose_networks(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    """Let this process and all that it starts take the networks of a folder; raises UsageError or DataError."""
    if value is not None:
        os.environ[networks.VARIABLE] = str(value.absolute())
    if networks.folder() and not context.resilient_parsing:
        networks.names()


# eager: where other options' defaults lie depends on it
models = click.option(
    "--models",
    type=FOLDER,  # a file is refused in a sentence of its own
    is_eager=True,
    expose_value=False,
    callback=_choose_networks,
    metavar="FOLDER",
    help=f"Your own networks in place of the zoo's: NAME.pt2, NAME.keras, NAME.h5 or NAME.py, and NAME.npz.  [env: {networks.VARIABLE}]",
)


def beside(*names: str, name: str, text: str, kind: click.ParamType):
    """Return the option of a place that lies beside the user's networks, else in the current folder."""
    return click.option(
        *names,
        default=lambda: networks.default(name),
        show_default=f"{name}, in the folder of --models where that is given",
        type=kind,
        help=text,
    )
