"""Starts workers: in processes of their own, or forked from a process that has started the runtime (onboard/warm.py)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from device_tests.contract import Command
from models.common import processes

READY = b"ready"
SILENT = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)


class Worker:
    """A forked worker, with the part of subprocess.Popen's interface that a conversation needs."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str], status: IO[str]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._status = status
        self._code: int | None = None
        self._waiting = threading.Lock()

    def wait(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        with self._waiting:
            if self._code is None:
                self._code = int(self._status.readline() or -signal.SIGKILL)  # the watching process was killed
            return self._code

    def reap(self) -> None:
        """Release its process number."""
        self._status.close()


Process = subprocess.Popen | Worker


class Starter:
    """Starts processes, forked where the command has a `warm` process, else on their own.

    The warm processes end with this process, or when this object is closed.
    """

    def __init__(self) -> None:
        self._sources: dict[tuple, _Source | None] = {}
        self._locks: dict[tuple, threading.Lock] = {}
        self._changing = threading.Lock()

    def __call__(self, command: Command, log: IO[bytes], timeout_s: float) -> Process:
        if command.warm:
            with suppress(OSError, ValueError):  # the warm process is gone: a process of its own will report why
                if source := self._source(command, timeout_s):
                    return source.fork(command.argv, log)
        return started(command, log)

    def close(self) -> None:
        """End the warm processes."""
        with self._changing:
            for source in filter(None, tuple(self._sources.values())):
                source.close()
            self._sources.clear()

    def _source(self, command: Command, timeout_s: float) -> _Source | None:
        """Return the warm process of a runtime, started on first use; None where it cannot fork workers."""
        *_, runtime = command.warm
        key = (command.warm, Path(runtime).read_bytes(), tuple(sorted(_environment(command).items())))
        with self._changing:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # one lock per runtime: only starts of the same runtime wait
            if key not in self._sources:
                is_linux = hasattr(socket, "SOCK_SEQPACKET") and os.path.exists("/proc/self/pagemap")
                # stored at once, so that close() finds it while it starts
                source = self._sources[key] = _Source(command) if is_linux else None
                if source and not source.is_ready(timeout_s):
                    source.close()
                    self._sources[key] = None
            return self._sources.get(key)


class _Source:
    """A warm process: it has started a runtime and forks workers."""

    def __init__(self, command: Command) -> None:
        self._forking = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            python, program, *arguments = command.warm
            argv = (python, program, str(theirs.fileno()), *arguments)
            own = {"env": _environment(command), "pass_fds": (theirs.fileno(),), "start_new_session": True}
            self._process = subprocess.Popen(argv, **own, **SILENT)

    def is_ready(self, timeout_s: float) -> bool:
        """Wait until it has started the runtime; tell whether it can fork workers."""
        self._requests.settimeout(timeout_s)
        with suppress(OSError):
            return self._requests.recv(len(READY)) == READY
        return False

    def fork(self, argv: tuple[str, ...], log: IO[bytes]) -> Worker:
        """Return a worker with a command's arguments, without the first two, which name the program; raises OSError."""
        theirs, ours = [], []
        try:
            for reading_is_ours in (False, True, True):  # the worker's stdin, stdout and status
                reading, writing = os.pipe()
                ours.append(reading if reading_is_ours else writing)
                theirs.append(writing if reading_is_ours else reading)
            stdin, stdout, status = theirs
            with self._forking:
                message = json.dumps(argv[2:]).encode()
                socket.send_fds(self._requests, [message], [stdin, stdout, log.fileno(), status])
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        files = [os.fdopen(fd, mode, errors="replace") for fd, mode in zip(ours, "wrr", strict=True)]
        return Worker(int(files[2].readline()), *files)

    def close(self) -> None:
        self._requests.close()
        processes.kill(self._process)


def started(command: Command, log: IO[bytes] | int) -> subprocess.Popen:
    """Start a command as the leader of a process group, so that it can be killed with all that it starts."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True, "errors": "replace"}
    return subprocess.Popen(command.argv, env=_environment(command), **pipes, start_new_session=True)


def _environment(command: Command) -> dict[str, str]:
    return {**os.environ, **command.env}
