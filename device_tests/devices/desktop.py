"""This machine: one environment per runtime, one process per cell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from device_tests import probe, worker
from device_tests.devices import Ask, Broken, Job, Load
from device_tests.runtimes import RUNTIMES
from device_tests.turns import Closed, Turns
from models import environments

LOG_LINES = 20
_running: set[subprocess.Popen] = set()


def require(runtime: str) -> None:
    _python(runtime)


def pins(runtime: str) -> tuple[str, ...]:
    home = _python(runtime).parent.parent
    return tuple(sorted(info.stem for info in home.glob("[Ll]ib/**/site-packages/*.dist-info")))


def run(job: Job, turns: Turns) -> dict[str, Any]:
    with tempfile.TemporaryFile() as log, ExitStack() as held:
        held.enter_context(turns.share())
        asked = {"--reference": job.reference.resolve(), "--images": job.images, "--latency-s": job.latency_s}
        process = _start(worker.__file__, job, log, "--turns", *(str(part) for pair in asked.items() for part in pair))
        _running.add(process)
        try:
            if turns.closed:  # between the two lines above: stop() has not seen this process
                raise Closed
            row = _converse(process, job, turns, held)
        finally:
            _kill(process)
            _running.discard(process)
        if turns.closed:
            raise Closed
        if row["outcome"] != "ok":
            log.seek(0)
            row["log"] = log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        return row


@contextmanager
def loaded(load: Load) -> Iterator[tuple[dict[str, Any], Ask]]:
    with tempfile.TemporaryFile() as log:
        process = _start(probe.__file__, load, log)
        _running.add(process)

        def answer(doing: str) -> dict[str, Any]:
            timed_out = threading.Event()
            line = _next_line(process, load.timeout_s, timed_out)
            if timed_out.is_set():
                raise Broken("timed_out", f"no answer in {load.timeout_s:g} s while {doing}")
            if not line:
                raise Broken("run_failed", f"{_death(process.wait())} while {doing}")
            return json.loads(line)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            _tell(process, json.dumps(request))
            return answer("timing")

        try:
            row = answer("loading")
            if row["outcome"] != "ok":
                raise Broken(row["outcome"], row["reason"])
            yield row, ask
        finally:
            _kill(process)
            _running.discard(process)


def stop() -> None:
    for process in tuple(_running):
        _kill(process)


def _python(runtime: str) -> Path:
    return environments.python(runtime, install=f"nox -s 'device_tests({runtime})'")


def _start(program: str, load: Load, log: IO[bytes], *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(_python(load.runtime), program, "--runtime", RUNTIMES.path(load.runtime)),
            *("--artifact", load.artifact.resolve(), "--sidecar", load.sidecar.resolve(), *arguments),
        ],
        # the bare networks come from the zoo's own code
        env={**os.environ, "PYTHONPATH": str(environments.ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,  # a group of its own, so that it can be killed with all that it started
    )


def _converse(process: subprocess.Popen, job: Job, turns: Turns, held: ExitStack) -> dict[str, Any]:
    """Give the worker the turns that it asks for until it answers or ends."""
    phase = "starting"
    while True:
        timed_out = threading.Event()
        line = _next_line(process, job.timeout_s, timed_out)
        if timed_out.is_set():
            return _row("timed_out", f"no answer in {job.timeout_s:g} s while {phase}")
        if not line:
            return _row("run_failed", f"{_death(process.wait())} while {phase}")
        answer = json.loads(line)
        if "turn" not in answer:
            return answer
        held.close()  # what it held so far
        held.enter_context(turns.alone() if answer["turn"] == "alone" else turns.share())
        phase = "loading and timing" if answer["turn"] == "alone" else "judging"
        _tell(process, "")


def _tell(process: subprocess.Popen, line: str) -> None:
    with suppress(BrokenPipeError):  # it died while it waited: its next line, which never comes, tells
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _next_line(process: subprocess.Popen, timeout_s: float, timed_out: threading.Event) -> str:
    def give_up() -> None:
        timed_out.set()
        _kill(process)

    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        return process.stdout.readline()
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _row(outcome: str, reason: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason}


def _death(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
