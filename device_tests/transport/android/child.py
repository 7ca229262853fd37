"""Programs that live as long as this one, however it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from models import processes


@contextmanager
def running(argv: tuple[str, ...], *, log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """Run a program for the block; `env` is added to this process' own, and the log gets all that it says.

    Where there is setpriv, which is on Linux, the kernel kills it with the thread that started it, also where that is
    killed itself: that thread should be the main one.
    """
    bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*bound, *argv),
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this program, which then ends the other
        )
    try:
        yield process
    finally:
        processes.kill(process)


def last_words(log: Path) -> str:
    """Return the end of what a program said."""
    return " | ".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
