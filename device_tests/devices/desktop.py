"""This machine: one environment per runtime, one process per cell."""

import platform
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from device_tests.contract import DESKTOP, HERE, Ask, Command, Job, Load
from device_tests.onboard import probe, worker
from device_tests.onboard.runtimes import RUNTIMES, here
from device_tests.schedule import Turns
from device_tests.transport.dialogue import Conversations, file_arguments, job_arguments
from device_tests.transport.starting import Starter
from models.common import environments
from models.common.errors import EnvironmentMissing

NAMES = (DESKTOP,)
SESSION = "device_tests"
LOCAL = True
QEMU, CPU = "qemu-x86_64", "max"  # AVX2 and FMA as of qemu 7.2, neither AVX-512 nor VNNI
INSTALL = "nox -s compatibility"  # installs the environments of other versions


class Desktop:
    """The machine that this program runs on."""

    host = HERE
    counts = True
    emulated = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.starter = Starter()
        self.conversations = Conversations(start=self.starter)

    @property
    def runtimes(self) -> tuple[str, ...]:
        return here()

    def require(self, runtime: str) -> None:
        _python(runtime)

    def pins(self, runtime: str) -> tuple[str, ...]:
        home = _python(runtime).parent.parent
        return tuple(sorted(info.stem for info in home.glob("[Ll]ib/**/site-packages/*.dist-info")))

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        working = command(worker.__file__, job, *job_arguments(job, job.reference.resolve()))
        warm = (working.argv[0], str(Path(worker.__file__).with_name("warm.py")), str(RUNTIMES.path(job.runtime)))
        return self.conversations.work(replace(working, warm=warm), job, turns)

    def loaded(self, load: Load) -> AbstractContextManager[tuple[dict[str, Any], Ask]]:
        return self.conversations.loaded(command(probe.__file__, load), load)

    def counted(self, load: Load, plugin: Path, log: Path) -> Command:
        if platform.machine() != "x86_64" or not shutil.which(QEMU):
            raise EnvironmentMissing(
                f"Counting instructions needs {QEMU} on an x86_64 processor, which is not here. "
                "On Debian and Ubuntu install it with: sudo apt-get install qemu-user"
            )
        probing = command(probe.__file__, load, "--count")
        # the same addresses in each run: the work of some libraries depends on them
        emulated = ("setarch", "-R", QEMU, "-cpu", CPU, "-plugin", plugin, "-d", "plugin", "-D", log)
        return Command(argv=(*map(str, emulated), *probing.argv), env=probing.env)

    def stop(self) -> None:
        self.conversations.stop()
        self.starter.close()


device = Desktop


def _python(runtime: str) -> Path:
    return environments.python(runtime, install=f"nox -s 'device_tests({runtime})'")


def command(program: str, load: Load, *arguments: str, environment: str = "") -> Command:
    """Return the command that runs a program of onboard/ on an artifact, in the runtime's or another environment."""
    files = file_arguments(RUNTIMES.path(load.runtime), load.artifact.resolve(), load.sidecar.resolve())
    python = environments.python(environment, install=INSTALL) if environment else _python(load.runtime)
    # bare networks and some runtimes import this project; numpy must use one thread, as runtimes do
    env = {"PYTHONPATH": str(environments.ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return Command(argv=(str(python), program, *files, *arguments), env=env)
