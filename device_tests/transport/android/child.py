"""Programs that end with this program, however it ends."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from models.common import processes


@contextmanager
def running(argv: tuple[str, ...], *, log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """Run a program for the block; `env` is added to this process' environment, and its output goes to the log.

    On Linux, with setpriv, the kernel kills the program when the thread that started it ends, also where that is
    killed: it should be the main thread.
    """
    bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    with log.open("wb") as output:
        # a session of its own: Ctrl-C is for this program, which then ends the other
        apart = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT, "start_new_session": True}
        process = subprocess.Popen((*bound, *argv), env={**os.environ, **(env or {})}, **apart)
    try:
        yield process
    finally:
        processes.kill(process)


def last_words(log: Path) -> str:
    """Return the last lines of a program's output."""
    return " | ".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
