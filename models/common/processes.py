"""Ends processes that lead a group of their own, and says how they ended."""

import os
import signal
import subprocess
from contextlib import suppress


def kill(process: subprocess.Popen) -> None:
    """Kill a process that was started with `start_new_session`, with all that it started, and wait for its end."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if reap := getattr(process, "reap", None):  # forked by a process of ours, which holds its number until now
        reap()


def from_shell(code: int) -> int:
    """Return a shell's exit code in subprocess' notation: 128 plus a signal's number becomes that number, negative."""
    return 128 - code if code - 128 in set(signal.Signals) else code


def death(code: int) -> str:
    """Return how a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
