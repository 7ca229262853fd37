"""Types of command-line values, each with a sentence that refuses wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

LONGEST_NAME = 255  # bytes of one part of a path, on every usual file system


class Folder(click.Path):
    """A folder that is there, or that can be made."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if not text.strip():
            self.fail("is empty. Name a folder; `.` is the one that you are in.", param, ctx)
        if any(len(part.encode(errors="replace")) > LONGEST_NAME for part in Path(text).parts):
            self.fail(f"{text[:40]!r}... has a part of more than {LONGEST_NAME} bytes, which no folder's name may have.",
                      param, ctx)  # fmt: skip
        for above in Path(text).absolute().parents:
            if above.exists():
                if not above.is_dir():
                    self.fail(f"{text!r} cannot be a folder: {above} is a file.", param, ctx)
                break
        return super().convert(value, param, ctx)


class Text(click.ParamType):
    """A word that may not be empty."""

    name = "text"

    def __init__(self, *, example: str) -> None:
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail(f"is empty. Write, for example, {self.example}", param, ctx)
        return value


def typed(ctx: click.Context, name: str) -> bool:
    """Tell whether an option was given by hand."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
