"""Types of the apps' command-line values, each with a sentence that refuses wrong ones."""

from pathlib import Path
from typing import Any

import click

from models.options import Place


class Folder(Place):
    """A folder that is there, or that can be made."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        above = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
        if not above.is_dir():
            self.fail(f"{str(value)!r} cannot be a folder: {above} is a file.", param, ctx)
        return path


def typed(ctx: click.Context, name: str) -> bool:
    """Tell whether an option was given by hand."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
