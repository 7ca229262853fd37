"""How every command of the project starts, fails and is interrupted."""

from __future__ import annotations

import sys
from typing import NoReturn

import click
from rich.console import Console

from models.errors import EdgewiseError

INTERRUPTED = 130  # what a shell expects after Ctrl-C

out = Console(highlight=False)
err = Console(highlight=False, stderr=True)


def main(command: click.Command) -> NoReturn:
    """Run a click command; errors that a person can mend become one message and an exit code, never a traceback."""
    try:
        sys.exit(command.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EdgewiseError as error:
        err.print(f"[bold red]error:[/] {_plain(error)}", soft_wrap=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("Interrupted. What is finished is kept; the same command does the rest.")
        sys.exit(INTERRUPTED)


def _plain(error: Exception) -> str:
    return str(error).replace("[", "\\[")
