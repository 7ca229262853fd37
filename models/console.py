"""How every command of the project starts, fails and is interrupted."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape

from models.errors import EdgewiseError, StorageError

INTERRUPTED = 130  # what a shell expects after Ctrl-C

WIDTH = 190  # of what is drawn, and where the output is no terminal: a log file breaks no lines


def console(**options: Any) -> Console:
    """Return a console as wide as the terminal, or wide enough for the tables where there is none."""
    plain = Console(highlight=False, **options)
    return plain if plain.is_terminal else Console(highlight=False, width=WIDTH, **options)


out = console()
err = console(stderr=True)


class Folder(click.Path):
    """A folder on the command line; an empty name is refused, which would silently mean the working folder."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value) or "\0" in str(value):
            self.fail("an empty path names no folder." if not str(value) else "no folder has such a name.", param, ctx)
        # that a file stands there is said by whoever writes, in the words for every folder
        return Path(value)


def main(command: click.Command) -> NoReturn:
    """Run a click command; errors that a person can mend become one message and an exit code, never a traceback."""
    try:
        code = command.main(standalone_mode=False) or 0
        sys.stdout.flush()  # here, where its failure can still be said
        sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EdgewiseError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise  # no fault of what the output goes to
        sys.stderr.write(f"error: The output cannot be written ({error.strerror}). Let it go somewhere else.\n")
        sys.stdout = None  # else its buffer is flushed once more at the end, and fails again
        sys.exit(StorageError.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("Interrupted. What is finished is kept; the same command does the rest.")
        sys.exit(INTERRUPTED)
