"""This machine: one environment per runtime, one process per cell."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from device_tests import probe, worker
from device_tests.conversation import Conversations, asked
from device_tests.devices import DESKTOP, HERE, Ask, Command, Job, Load
from device_tests.runtimes import RUNTIMES
from device_tests.turns import Turns
from models import environments

NAMES = (DESKTOP,)
QEMU, CPU = "qemu-x86_64", "max"  # AVX2 and FMA as of qemu 7.2, neither AVX-512 nor VNNI


def device(name: str) -> Desktop:
    return Desktop(name)


class Desktop:
    """The machine that this runs on."""

    host = HERE
    emulated = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.conversations = Conversations()

    @property
    def runtimes(self) -> tuple[str, ...]:
        return RUNTIMES.names()

    def require(self, runtime: str) -> None:
        _python(runtime)

    def pins(self, runtime: str) -> tuple[str, ...]:
        home = _python(runtime).parent.parent
        return tuple(sorted(info.stem for info in home.glob("[Ll]ib/**/site-packages/*.dist-info")))

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        return self.conversations.work(_command(worker.__file__, job, *asked(job, job.reference.resolve())), job, turns)

    def loaded(self, load: Load) -> AbstractContextManager[tuple[dict[str, Any], Ask]]:
        return self.conversations.loaded(_command(probe.__file__, load), load)

    def counted(self, load: Load, plugin: Path, log: Path) -> Command:
        command = _command(probe.__file__, load, "--count")
        # addresses are the same in each run: some libraries go by them
        emulated = ("setarch", "-R", QEMU, "-cpu", CPU, "-plugin", plugin, "-d", "plugin", "-D", log)
        return Command(argv=(*map(str, emulated), *command.argv), env=command.env)

    def stop(self) -> None:
        self.conversations.stop()


def _python(runtime: str) -> Path:
    return environments.python(runtime, install=f"nox -s 'device_tests({runtime})'")


def _command(program: str, load: Load, *arguments: str) -> Command:
    files = {
        "--runtime": RUNTIMES.path(load.runtime),
        "--artifact": load.artifact.resolve(),
        "--sidecar": load.sidecar.resolve(),
    }
    argv = (_python(load.runtime), program, *(part for pair in files.items() for part in pair), *arguments)
    # the bare networks come from the zoo's own code
    return Command(argv=tuple(map(str, argv)), env={"PYTHONPATH": str(environments.ROOT)})
