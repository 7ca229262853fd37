"""How every command of the project starts, fails and is interrupted."""

from __future__ import annotations

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
