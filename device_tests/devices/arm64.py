"""Arm cores that qemu emulates in user mode: the worker runs from the arm64 bundle, with no system of its own.

Logits, memory and executed instructions mean something there. Times do not, and none are taken.
"""

import hashlib
import os
import re
import shutil
import subprocess
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from device_tests.contract import HERE, Command, Job, Load
from device_tests.devices import _cpuinfo
from device_tests.onboard import probe, worker
from device_tests.schedule import Turns
from device_tests.transport import bundle
from device_tests.transport.dialogue import Conversations, file_arguments, job_arguments
from models import data
from models.common import files, processes
from models.common.errors import DataError, EnvironmentMissing

# Without dot product; with it and half precision; with SVE, SME, 8-bit matrices and bfloat16. The others are in newer
# versions of qemu only.
CORES = ("cortex-a53", "cortex-a72", "cortex-a76", "max")
NAMES = (*CORES, "cortex-a55", "cortex-a710", "neoverse-n1", "neoverse-n2", "neoverse-v1")
SESSION = "devices(arm64)"
LOCAL = True
QEMU = "qemu-aarch64"
MAKE = f"nox -s '{SESSION}'"
INSTALL = "On Debian and Ubuntu install it with: sudo apt-get install qemu-user"
ABI = "arm64"
# Messages of libraries that do not know the processor: they choose other kernels then, without an error.
ALARMS = ("in cpuinfo:", "cpuid_info warning")
MEMORY = "memory is the emulator's with all that it translated"
SME_SINCE = 10  # qemu 7.2 gives garbage for 8-bit outer products, 10.0 is right
_making = threading.Lock()


class Core:
    """An emulated Arm core: `name` is qemu's name of it, `model` the value of qemu's option -cpu."""

    host = HERE
    counts = True
    emulated = True
    runtimes = bundle.RUNTIMES

    def __init__(self, name: str) -> None:
        self.name = name
        self.conversations = Conversations(alarms=ALARMS)

    @property
    def model(self) -> str:
        match = re.search(r"version (\d+)", self.emulator)
        major = int(match[1]) if match else SME_SINCE
        return "max,sme=off" if self.name == "max" and major < SME_SINCE else self.name

    @cached_property
    def emulator(self) -> str:
        version = _qemu("--version").strip()
        if not version:
            raise EnvironmentMissing(f"{QEMU} does not tell its version: it is broken. {INSTALL}")
        return version.splitlines()[0]

    def require(self, runtime: str) -> None:
        if self.name not in _cores():
            msg = f"{self.emulator} emulates no {self.name}; it has {', '.join(_cores())}. A newer qemu-user may."
            raise EnvironmentMissing(msg)
        bundle.require(ABI, runtime)
        if runtime not in self._bundle.sites:
            raise EnvironmentMissing(f"The bundle {self._bundle.path} holds no {runtime}. Build it with: {MAKE}")

    def pins(self, runtime: str) -> tuple[str, ...]:
        return (*self._bundle.pins(runtime), self.emulator, self.model, (self._system / "proc" / "cpuinfo").read_text())

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        command = self._command(worker.__file__, job, *job_arguments(job, job.reference.resolve()))
        row = self.conversations.work(command, job, turns)
        if "environment" in row:
            row["environment"]["emulator"] = f"{self.emulator} -cpu {self.model}"
            row["notes"].append(MEMORY)
            if self.model != self.name:
                row["notes"].append(f"without SME, which qemu computes wrongly before version {SME_SINCE}")
        return row

    def counted(self, load: Load, plugin: Path, log: Path) -> Command:
        if "-plugin" not in _qemu("-h"):
            msg = f"{self.emulator} takes no plugins, so that nothing is counted; Debian 12's package qemu-user does."
            raise EnvironmentMissing(msg)
        counting = ("-plugin", str(plugin), "-d", "plugin", "-D", str(log))
        command = self._command(probe.__file__, load, "--count", counting=counting)
        # the same addresses in each run: the work of some libraries depends on them
        return Command(argv=("setarch", "-R", *command.argv), env=command.env)

    def stop(self) -> None:
        self.conversations.stop()

    @cached_property
    def _bundle(self) -> bundle.Bundle:
        try:
            return bundle.load(bundle.path(ABI))
        except DataError as error:
            msg = f"The bundle that runs on {self.name} is not built. Build it with: {MAKE}"
            raise EnvironmentMissing(msg) from error

    @cached_property
    def _system(self) -> Path:
        """Return the folder that qemu shows as /: it hides this machine's processor behind the emulated one's cpuinfo."""
        source = Path(_cpuinfo.__file__)
        key = hashlib.sha256(f"{source.read_text()}{self.emulator}{self.model}".encode()).hexdigest()[:16]
        folder = data.cache_folder() / "cores" / f"{self.name}-{key}"
        with _making:
            if not folder.exists():
                start = self._bundle.command(self._bundle.runtimes[0])
                argv = (QEMU, "-cpu", self.model, *start.argv, source)
                done = subprocess.run(argv, env={**os.environ, **start.env}, capture_output=True)
                if done.returncode:
                    stderr = done.stderr.decode(errors="replace").strip()[-500:] or processes.death(done.returncode)
                    msg = f"{self.emulator} cannot emulate {self.model} with the bundle {self._bundle.path}: {stderr}"
                    raise EnvironmentMissing(msg)
                with files.whole(folder) as temporary:
                    (temporary / "proc").mkdir(parents=True)
                    (temporary / "proc" / "cpuinfo").write_bytes(done.stdout)
        return folder

    def python(self, runtime: str, *counting: str) -> Command:
        """Return the command that starts Python for a runtime on this core; a program and its arguments follow."""
        start = self._bundle.command(runtime)
        emulated = (QEMU, "-L", str(self._system), "-cpu", self.model, *counting)
        # the linear algebra that comes with numpy would start a thread for each processor
        return Command(argv=(*emulated, *start.argv), env={**start.env, "OPENBLAS_NUM_THREADS": "1"})

    def _command(self, program: str, load: Load, *arguments: str, counting: tuple[str, ...] = ()) -> Command:
        python = self.python(load.runtime, *counting)
        named = file_arguments(bundle.program(load.runtime), load.artifact.resolve(), load.sidecar.resolve())
        return Command(argv=(*python.argv, program, *named, *arguments), env=python.env)


device = Core


def _cores() -> tuple[str, ...]:
    return tuple(_qemu("-cpu", "help").split()[2:])  # after "Available CPUs:"


def _qemu(*arguments: str) -> str:
    if not shutil.which(QEMU):
        raise EnvironmentMissing(f"Emulated Arm cores need {QEMU}, which is not here. {INSTALL}")
    try:  # the exit code is not checked: that of its help is 1
        return subprocess.run([QEMU, *arguments], capture_output=True, text=True, errors="replace").stdout
    except OSError as error:
        raise EnvironmentMissing(f"{QEMU} does not start: {error.strerror}. {INSTALL}") from error
