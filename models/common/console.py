"""How every command of the project starts, prints, fails and is interrupted."""

import errno
import importlib
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape

from models.common.entry import INTERRUPTED, lacking
from models.common.errors import EdgewiseError, EnvironmentMissing, StorageError

DEFECT = 70  # EX_SOFTWARE: not the person's mistake, but ours
PIPE_CLOSED = 141  # what a shell expects of a program that SIGPIPE ended
ONLY_PARSE, QUIET = "EDGEWISE_ONLY_PARSE", "quiet"
MENDABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}

WIDTH = 190  # of drawings, and of output that goes to no terminal: lines of a log file are not wrapped

# Sequences that a terminal obeys: OSC (titles, links, the clipboard), other strings, CSI (colours, the cursor), the rest.
_SEQUENCES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 but for line feeds, DEL, C1, marks and overrides of the writing direction, other ends of lines, lone surrogates.
_BLANKS = re.compile(r"[\t\r\v\f\x85\u2028\u2029]")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def console(**options: Any) -> Console:
    """Return a console as wide as the terminal, or wide enough for the tables where there is none."""
    plain = Console(highlight=False, **options)
    # a terminal that is said to have no columns would show nothing
    return plain if plain.is_terminal and plain.width else Console(highlight=False, width=WIDTH, **options)


out = console()
err = console(stderr=True)


def printable(text: object, *, lines: bool = False) -> str:
    """Return text without anything that a terminal would execute; line feeds become blanks unless `lines` is set.

    Output of runtimes, devices and files may hold escape sequences, control characters and overrides of the writing
    direction, which could hide, change or fake the text beside them.
    """
    shown = _CONTROLS.sub("", _BLANKS.sub(" ", _SEQUENCES.sub("", str(text).replace("\r\n", "\n"))))
    return shown if lines else shown.replace("\n", " ")


def plain(text: object, *, lines: bool = False) -> str:
    """Return text for rich to print as it is: printable, and without markup."""
    return escape(printable(text, lines=lines))


def validated() -> None:
    """End here with exit code 0 where EDGEWISE_ONLY_PARSE is set: the caller only wants the arguments checked."""
    if value := os.environ.get(ONLY_PARSE):
        if value != QUIET:
            err.print(f"Only the arguments were checked, for {ONLY_PARSE} is set.", soft_wrap=True)
        raise click.exceptions.Exit(0)


class OutputLost(Exception):
    """What is printed cannot be written: the disk is full, or nobody reads any more. The cause is the OSError."""


class Output:
    """Standard output that raises OutputLost if it cannot be written, so that this is never mistaken for another OSError."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._guarded(self._stream.write, text)

    def flush(self) -> None:
        self._guarded(self._stream.flush)

    @staticmethod
    def _guarded(function: Callable, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OSError as error:
            raise OutputLost(str(error)) from error


def main(command: click.Command | str) -> NoReturn:
    """Run a click command, given as an object or as `MODULE:ATTRIBUTE`, and exit with its code.

    Errors that a person can mend become one message. So do unforeseen errors, also in the import: their traceback
    goes to a file.
    """
    before = sys.stdout
    if before is not None:
        with suppress(AttributeError, ValueError):
            before.reconfigure(errors="replace")  # a terminal of another encoding shows question marks
        sys.stdout = Output(before)
    try:
        code = _run(command)
        if before is not None:
            sys.stdout.flush()
    except OutputLost as lost:
        code = _output_lost(lost.__cause__)
    finally:
        sys.stdout = before
    try:
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        _to_nowhere(sys.__stderr__)
    sys.exit(code)


def _run(command: click.Command | str) -> int:
    try:
        if isinstance(command, str):
            module, _, name = command.partition(":")
            command = getattr(importlib.import_module(module), name)
        return command.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.message = printable(error.message, lines=True)
        with suppress(OSError):
            error.show()
        return error.exit_code
    except EdgewiseError as error:
        return _failed(error)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except OutputLost:
        raise
    except ModuleNotFoundError as error:
        return _failed(EnvironmentMissing(sentence)) if (sentence := lacking(error)) else _defect(error)
    except MemoryError:
        return _failed(EdgewiseError("There is not enough memory. End other programs, or raise the limit (ulimit -v)."))
    except Exception as error:
        if isinstance(error, OSError) and isinstance(error.__context__, KeyboardInterrupt):
            return _interrupted()  # click could not even end the line on standard error
        return _failed(mendable) if (mendable := _mendable(error)) else _defect(error)


def _mendable(error: Exception) -> StorageError | None:
    """Return the error for a file that cannot be used, None unless a person can mend the cause."""
    name = getattr(error, "filename", None)
    if name is None or not isinstance(error, OSError) or error.errno not in MENDABLE:
        return None
    return StorageError(f"{os.fsdecode(name)} cannot be used: {error.strerror}. Mend that, or name another.")


def _failed(error: EdgewiseError) -> int:
    _complain(f"[bold red]error:[/] {plain(error, lines=True)}")
    return error.exit_code


def _interrupted() -> int:
    _complain("Interrupted. What is finished is kept; the same command does the rest.")
    return INTERRUPTED


def _complain(markup: str) -> None:
    """Print on standard error; where that cannot be written either, the exit code is all there is."""
    with suppress(OSError):
        err.print(markup, soft_wrap=True)


def _defect(error: Exception) -> int:
    """Report an unforeseen error, with its traceback in a log file."""
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    try:
        handle, log = tempfile.mkstemp(prefix="edgewise-", suffix=".log")
        with open(handle, "w", errors="backslashreplace") as file:
            file.write(f"{sys.argv}\nPython {sys.version}\n")
            traceback.print_exception(error, file=file)
        where = f"report it with the log {log}"
    except OSError as failure:
        where = f"report it (no log could be written: {failure})"
    _complain(f"[bold red]error:[/] {plain(summary[:1_000])}. This is a defect of Edgewise: {plain(where)}")
    return DEFECT


def _to_nowhere(stream: Any) -> None:
    """Discard what a stream still buffers: Python flushes it at its end, and a failure there would decide the exit code."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _output_lost(error: BaseException | None) -> int:
    """Report that standard output cannot be written, unless its reader has closed it; discard all further output."""
    _to_nowhere(sys.__stdout__)
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    why = getattr(error, "strerror", None) or error
    _complain(f"[bold red]error:[/] Standard output cannot be written: {why}. What is finished is kept.")
    return StorageError.exit_code
