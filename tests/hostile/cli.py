"""Types a command as a person would, in this process, and holds what must be true of every one of them."""

import io
import os
import re
import signal
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click

from models.common import console

DOCUMENTED = (0, 1, 2, 3, 4, 5, 6, 10, 11, 130, 141)  # device_tests/commands/__init__.py, without a defect's 70
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
IN_REPORT = ("<script", "](http", "@name", "\x1b", "\u202e")
BUDGETS = re.compile(r"^budgets: ([\d,]+) passed, ([\d,]+) failed", re.MULTILINE)

LIMIT_S = 30  # of a command that takes a tenth of a second: it waits for what never comes

TALLY: dict[str, Counter[int]] = {}  # by property, how often each exit code came


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a person sees of a command."""

    code: int
    out: str
    err: str

    @property
    def output(self) -> str:
        return self.out + self.err


class Hung(BaseException):
    """A command does not end; no handler of it may take this for its own."""


@contextmanager
def ends() -> Iterator[None]:
    """Raise Hung where the block waits for ever, such as for somebody who writes into a FIFO."""

    def ring(number: int, frame: object) -> None:
        raise Hung(f"no end after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Watch:
    """Sees what this process creates, changes, renames or removes, by Python's audit events; one for all tests."""

    EVENTS = {"os.mkdir": 1, "os.rename": 2, "os.remove": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2,
              "os.truncate": 1, "os.chmod": 1, "os.utime": 1}  # fmt: skip
    WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def __init__(self) -> None:
        self.changed: list[str] | None = None
        sys.addaudithook(self._record)

    def _record(self, event: str, arguments: tuple) -> None:
        if self.changed is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and flags & self.WRITING:
                self.changed.append(os.path.abspath(os.fsdecode(path)))
        elif event in self.EVENTS:
            paths = arguments[: self.EVENTS[event]]
            self.changed += [os.path.abspath(os.fsdecode(p)) for p in paths if not isinstance(p, int)]

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        self.changed = seen = []
        try:
            yield seen
        finally:
            self.changed = None


WATCH = Watch()


def typed(command: click.Command, arguments: list[str], project: Path, *, of: str) -> Ended:
    """Run a command in `project` through the way out that people meet, and hold what must be true of each.

    `of` is the property that its exit code counts for.
    """
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    temporary = project.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    code: object = None
    with (
        chdir(project),
        patch.dict(os.environ),  # --models sets a variable for the whole process
        patch.object(sys, "argv", ["edgewise", *arguments]),
        patch.object(tempfile, "tempdir", str(temporary)),
        ends(),
        WATCH.watching() as changed,
        redirect_stdout(streams[0]),
        redirect_stderr(streams[1]),
    ):
        try:
            console.main(command)
        except SystemExit as end:
            code = end.code
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    ended = Ended(code=code, out=out, err=err)
    TALLY.setdefault(of, Counter())[code] += 1
    hold(ended, arguments, project, temporary)
    strangers = [path for path in changed if not _may(path, project, temporary, arguments)]
    assert not strangers, f"{arguments} changed {strangers}"
    return ended


def hold(ended: Ended, arguments: list[str], project: Path, temporary: Path) -> None:
    """Hold that a command ended as one may, that a green check has judged something, and that no terminal obeys its output."""
    if ended.code == console.DEFECT:
        log = max(temporary.glob("edgewise-*.log"), key=lambda file: file.stat().st_mtime)
        raise AssertionError(f"{arguments}: {ended.output}\n{log.read_text()}")
    assert ended.code in DOCUMENTED, f"{arguments} ended with {ended.code}: {ended.output}"
    assert "Traceback" not in ended.output, ended.output
    if ended.code not in (0, 10, 11):
        assert ended.err.strip(), f"{arguments} ended with {ended.code} and no word of why"
    bad = [c for c in ended.output if c not in "\n\t" and (unicodedata.category(c) == "Cc" or c in BIDI)]
    assert not bad, f"{arguments} printed {bad[:5]!r} in {ended.output[:2_000]!r}"
    if arguments[0] == "check" and not ended.code and not ended.out.startswith("Usage:"):
        passed, failed = (int(number.replace(",", "")) for number in BUDGETS.search(ended.out).groups())
        assert (passed > 0, failed) == (True, 0), ended.out
    report = project / "report" / "report.md"
    if report.is_file():
        text = report.read_text()
        assert not [mark for mark in IN_REPORT if mark in text], text[:5_000]


def _may(path: str, project: Path, temporary: Path, arguments: list[str]) -> bool:
    home = [str(project), str(temporary), str(project.parent / "machine"), os.devnull]  # where locks are
    given = [os.path.abspath(os.path.join(project, word.rpartition("=")[2])) for word in arguments if word]
    inside = any(path == own or path.startswith(f"{own}{os.sep}") for own in (*home, *given))
    # what is written whole has a temporary beside it, and its folder is made first
    beside = any(os.path.dirname(path) == os.path.dirname(own) or own.startswith(f"{path}{os.sep}") for own in given)
    return inside or (beside and not path.startswith(str(project.parent)))
