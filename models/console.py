"""How every command of the project starts, fails and is interrupted."""

from __future__ import annotations

import re
import sys
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape

from models.errors import EdgewiseError

INTERRUPTED = 130  # what a shell expects after Ctrl-C

WIDTH = 190  # of what is drawn, and where the output is no terminal: a log file breaks no lines


def console(**options: Any) -> Console:
    """Return a console as wide as the terminal, or wide enough for the tables where there is none."""
    plain = Console(highlight=False, **options)
    return plain if plain.is_terminal else Console(highlight=False, width=WIDTH, **options)


out = console()
err = console(stderr=True)


# C0 and C1 controls with ESC, which starts sequences, and characters that turn the direction of the text
_CONTROLS = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return one line of text that a terminal shows as it is: without control sequences, line breaks as spaces."""
    return _CONTROLS.sub("", " ".join(text.split()))


def plain(text: str) -> str:
    """Return text from a file, a runtime or a device as rich prints it, whatever it holds."""
    return escape(printable(text))


def main(command: click.Command) -> NoReturn:
    """Run a click command; errors that a person can mend become one message and an exit code, never a traceback."""
    try:
        sys.exit(command.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EdgewiseError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("Interrupted. What is finished is kept; the same command does the rest.")
        sys.exit(INTERRUPTED)
