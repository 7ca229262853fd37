"""How every command of the project starts, looks at its arguments, fails and is interrupted.

A command's body calls `validated()` once: after everything that was typed has been looked at (names, globs, folders),
and before the first thing is listed, measured or written. With EDGEWISE_ONLY_PARSE set the command ends there, so that
nox can refuse a mistyped argument in the smallest environment, before it installs or exports anything.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape

from models.errors import EdgewiseError

ONLY_PARSE = "EDGEWISE_ONLY_PARSE"  # this environment variable, as `validated` has it
INTERRUPTED = 130  # what a shell expects after Ctrl-C

WIDTH = 190  # of what is drawn, and where the output is no terminal: a log file breaks no lines


def console(**options: Any) -> Console:
    """Return a console as wide as the terminal, or wide enough for the tables where there is none."""
    plain = Console(highlight=False, **options)
    return plain if plain.is_terminal else Console(highlight=False, width=WIDTH, **options)


out = console()
err = console(stderr=True)


def only_parses() -> bool:
    """Tell whether only the arguments are to be looked at; for commands whose arguments another one looks at."""
    return bool(os.environ.get(ONLY_PARSE))


def validated() -> None:
    """Mark that all arguments were looked at and are good; where only that was asked for, end with exit code 0."""
    if only_parses():
        raise click.exceptions.Exit(0)


def main(command: click.Command) -> NoReturn:
    """Run a click command; errors that a person can mend become one message and an exit code, never a traceback."""
    try:
        code = command.main(standalone_mode=False)
        if code is None and only_parses():  # an exit code is what `validated` and --help end with
            msg = f"{command.name} did its work although only its arguments were to be looked at: call validated()."
            raise AssertionError(msg)
        sys.exit(code or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EdgewiseError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("Interrupted. What is finished is kept; the same command does the rest.")
        sys.exit(INTERRUPTED)
