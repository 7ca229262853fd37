"""Boards over ssh: a pinned environment is made there, files are copied once, rows come back over the connection."""

import subprocess
import uuid
from contextlib import suppress
from typing import Any

from device_tests import onboard
from device_tests.contract import Command, Job, Load
from device_tests.devices._once import Once
from device_tests.onboard.runtimes import RUNTIMES, beside, runs_on
from device_tests.schedule import Turns
from device_tests.transport.dialogue import Conversations, file_arguments, job_arguments
from device_tests.transport.ssh.board import Board
from device_tests.transport.ssh.client import LOST, Client
from models.common import processes
from models.common.errors import EnvironmentMissing

NAMES = ("ssh:",)
SESSION = "devices(ssh)"
LOCAL = False
STEADY = {"performance"}  # governors that do not change the frequency while times are taken
# The shell must stay: without it ssh's client does not tell the signal that killed a program. The worker's stdin is the
# connection's; when that ends, the worker ends, too (worker.Turns).
WORK = """
pid=$1; shift
exec 3<&0
"$@" <&3 3<&- &
echo $! >"$pid"
wait $!; code=$?
rm -f "$pid"; exit $code
"""
KILL = '[ ! -e "$1" ] || { kill -9 "$(cat "$1")"; rm -f "$1"; }'


class Remote:
    """A board that ssh reaches; its times are real."""

    emulated = False
    counts = False

    def __init__(self, name: str) -> None:
        self.name = self.host = name
        self.board = Board(Client(name.removeprefix(NAMES[0])))
        self.conversations = Conversations(end=self._end, death=self._death)
        self._run = uuid.uuid4().hex  # several runs may use the board at once
        self._installed = Once(self.board.installed)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes whose files stand alone; the others also load bare networks, with the zoo's code."""
        return tuple(n for n in RUNTIMES.names() if not RUNTIMES[n].eager and not beside(n) and runs_on(n, "linux"))

    def require(self, runtime: str) -> None:
        self.board.client.ask(":")  # ask first: a board that is gone must not replace its earlier results
        self._installed(runtime)

    def pins(self, runtime: str) -> tuple[str, ...]:
        return (*self._installed(runtime), self.board.place.version, self.board.place.machine)

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        folder = self.board.push({job.reference.name: job.reference})
        command = self._command(job, *job_arguments(job, f"{folder}/{job.reference.name}"))
        before = self.board.state()
        row = self.conversations.work(command, job, turns)
        if "environment" in row:
            self._describe(row, before)
        return row

    def stop(self) -> None:
        self.conversations.stop()
        self.board.client.stop()

    def clean(self) -> None:
        """Remove everything that was put on the board."""
        self.board.clean()

    def _command(self, job: Job, *arguments: str) -> Command:
        """Push the worker with its files, and return the command that runs it there."""
        sources = {path.name: path for path in onboard.WORKER}
        code = self.board.push({**sources, "runtime.py": RUNTIMES.path(job.runtime)})
        data = self.board.push({file.name: file for file in (job.artifact, job.sidecar)})
        python = f"{self.board.environment(job.runtime)}/bin/python"
        files = file_arguments(f"{code}/runtime.py", f"{data}/{job.artifact.name}", f"{data}/{job.sidecar.name}")
        argv = (python, "-I", f"{code}/worker.py", *files, *arguments)
        return Command(argv=self.board.client.argv(WORK, self._pid(job), *argv))

    def _describe(self, row: dict[str, Any], before: dict[str, Any]) -> None:
        """Add to the row what its times there depend on."""
        row["environment"] |= {name: before[name] for name in ("model", "kernel", "governors") if name in before}
        temperatures = {"before": before.get("temperatures_c")}
        try:
            temperatures["after"] = self.board.state().get("temperatures_c")
        except EnvironmentMissing as error:
            row["notes"].append(f"what the board was like afterwards is not known: {error}")
        if any(temperatures.values()):
            row["environment"]["temperatures_c"] = temperatures
        wandering = sorted(set(before.get("governors", ())) - STEADY)
        if wandering:
            row["notes"].append(f"the frequency governor is {' and '.join(wandering)}: times wander with the load")

    def _pid(self, load: Load) -> str:
        return f"{self.board.place.home}/{self._run}-{load.runtime}-{load.artifact.name}.pid"

    def _end(self, load: Load) -> None:
        """Kill a worker that is still there: one that hangs in native code does not notice the connection's end."""
        command = self.board.client.argv(KILL, self._pid(load))
        with suppress(subprocess.TimeoutExpired):  # on a board that is gone there is nothing to kill
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, start_new_session=True)

    def _death(self, code: int) -> str:
        if code == LOST:
            return f"the connection to {self.name} was lost"
        return processes.death(processes.from_shell(code))


device = Remote
