"""Talks with workers and probes over their pipes, wherever they run; crashes, hangs and garbage become rows."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from device_tests.contract import Ask, Broken, Command, Job, Load
from device_tests.schedule import STARTING, Closed, Turns
from device_tests.transport.deadline import deadline
from device_tests.transport.starting import Process, started
from models.common import processes

LOG_LINES = 20

Row = dict[str, Any]
Start = Callable[[Command, IO[bytes], float], Process]


def job_arguments(job: Job, reference: Path | str) -> tuple[str, ...]:
    """Return the worker's arguments for a job, except for its files."""
    options = {"--reference": reference, "--images": job.images, "--latency-s": job.latency_s}
    return ("--turns", *(str(part) for pair in options.items() for part in pair))


def file_arguments(runtime: Path | str, artifact: Path | str, sidecar: Path | str) -> tuple[str, ...]:
    """Return the arguments for the files that every program of onboard/ gets, with their paths on the device."""
    return ("--runtime", str(runtime), "--artifact", str(artifact), "--sidecar", str(sidecar))


class Conversations:
    """The processes of one device; one thread talks to each.

    `start` starts a process. `alarms` are words in a worker's log that make its logits worthless. `end` is called after
    a process was killed here, for the worker of a client may still be running elsewhere. `death` puts an exit code into
    words.
    """

    def __init__(
        self,
        *,
        start: Start = lambda command, log, timeout_s: started(command, log),
        alarms: tuple[str, ...] = (),
        end: Callable[[Load], None] = lambda load: None,
        death: Callable[[int], str] = processes.death,
    ) -> None:
        self.running: set[Process] = set()
        self._stopped: set[Process] = set()
        self._start, self._alarms, self._end, self._death = start, alarms, end, death

    def work(self, command: Command, job: Job, turns: Turns) -> Row:
        """Start a worker, give it its turns, and return its row; raises Closed when the run is interrupted."""
        with ExitStack() as held:
            held.enter_context(turns.share(STARTING))
            with self._started(command, job) as (process, log):
                if turns.closed:  # stop() may not have seen the process that was started meanwhile
                    raise Closed
                row = self._converse(process, job, turns, held)
                if turns.closed:
                    raise Closed
                log.seek(0)
                lines = log.read().decode(errors="replace").splitlines()
                alarm = next((line for line in lines if any(word in line for word in self._alarms)), None)
                if alarm and row["outcome"] == "ok":
                    reason = f"its answers cannot be trusted, for it said: {alarm.strip()[:300]}"
                    row |= {"outcome": "run_failed", "reason": reason}
                if row["outcome"] != "ok":
                    row["log"] = lines[-LOG_LINES:]
                return row

    @contextmanager
    def loaded(self, command: Command, load: Load) -> Iterator[tuple[Row, Ask]]:
        """Keep an artifact loaded in a probe, as described at Device.loaded."""
        with self._started(command, load) as (process, _):

            def ask(request: Row) -> Row:
                _tell(process, json.dumps(request))
                return self._answer(process, load, "timing")

            row = self._answer(process, load, "loading")
            if row.get("outcome") != "ok":
                raise Broken(row["outcome"], row["reason"])
            yield row, ask

    def stop(self) -> None:
        """Kill every process; its conversation raises Closed, for the end says nothing about the artifact."""
        for process in tuple(self.running):
            self._stopped.add(process)
            processes.kill(process)

    @contextmanager
    def _started(self, command: Command, load: Load) -> Iterator[tuple[Process, IO[bytes]]]:
        with tempfile.TemporaryFile() as log:
            process = self._start(command, log, load.timeout_s)
            self.running.add(process)
            try:
                yield process, log
            finally:
                processes.kill(process)
                self._end(load)
                self.running.discard(process)
                self._stopped.discard(process)

    def _converse(self, process: Process, job: Job, turns: Turns, held: ExitStack) -> Row:
        phase = "starting"
        while True:
            try:
                answer = self._answer(process, job, phase)
            except Broken as broken:
                return {"outcome": broken.outcome, "reason": broken.reason}
            if "turn" not in answer:
                return answer
            if answer["turn"] == "kept":  # only a sign of life
                continue
            if answer["turn"] == "enough":
                _tell(process, "enough" if job.enough(answer.get("logits")) else "")
                continue
            held.close()  # releases the turn that it held
            held.enter_context(turns.alone() if answer["turn"] == "alone" else turns.share())
            phase = "loading and timing" if answer["turn"] == "alone" else "judging"
            _tell(process, "")

    def _answer(self, process: Process, load: Load, phase: str) -> Row:
        """Return the next line as a row; raises Broken where none comes or it is garbage, Closed after stop()."""
        with deadline(process, load.timeout_s) as expired:
            line = process.stdout.readline()
        if expired.is_set():
            raise Broken("timed_out", f"no answer in {load.timeout_s:g} s while {phase}")
        if not line and process in self._stopped:
            raise Closed
        if not line:
            raise Broken("run_failed", f"{self._death(process.wait())} while {phase}")
        with suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict) and answer.keys() & {"outcome", "turn", "ns"}:
                return answer
        raise Broken("run_failed", f"said something that is no answer while {phase}: {line.strip()[:200]!r}")


def _tell(process: Process, line: str) -> None:
    with suppress(BrokenPipeError):  # it died while it waited, and no line will come
        process.stdin.write(line + "\n")
        process.stdin.flush()
