"""Phones, emulators and boards over adb: `android:SERIAL`, with nothing installed there.

The bundle of the device's ABI is pushed once under /data/local/tmp and verified. Each cell gets a folder of its own,
which is removed when the cell ends. `android:` alone means the only device that adb sees. A real phone is measured on
its big cores, or with `android:SERIAL+little` on its small ones.
"""

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from device_tests import onboard
from device_tests.contract import HERE, Command, Job
from device_tests.devices._once import Once
from device_tests.devices.arm64 import ALARMS
from device_tests.schedule import Turns
from device_tests.transport import bundle
from device_tests.transport.android import client, conditions
from device_tests.transport.android.client import Client, DeviceFailed
from device_tests.transport.dialogue import Conversations, Row, file_arguments, job_arguments
from models.common import processes
from models.common.errors import EnvironmentMissing, UsageError

NAMES = ("android:", "adb:")
SESSION = "devices(android)"
LOCAL = False
HOME = PurePosixPath("/data/local/tmp/edgewise")
# Android's name or the kernel's -> the bundle's name
ABIS = {"arm64-v8a": "arm64", "aarch64": "arm64", "x86_64": "x86_64"}
LOSS_NOTICED_S = 5.0  # adb notices within this time that a device is lost


class Reached:
    """What adb reaches; its properties are read once. `machine` is the host of a device that is not emulated."""

    counts = False

    def __init__(self, name: str, reached: Client, machine: str) -> None:
        self.name, self.client, self._machine = name, reached, machine

    @property
    def host(self) -> str:
        """An emulated device keeps this machine busy; one that is not reached counts as a machine of its own."""
        with suppress(EnvironmentMissing, DeviceFailed):
            return HERE if self.emulated else self._machine
        return self._machine

    @property
    def emulated(self) -> bool:
        """Tell by the properties whether it is an emulator or a virtual machine."""
        is_emulator = "1" in (self._properties.get("ro.kernel.qemu"), self._properties.get("ro.boot.qemu"))
        return is_emulator or self._properties.get("ro.hardware", "") in ("ranchu", "goldfish", "cutf_cvm")

    @cached_property
    def _properties(self) -> dict[str, str]:
        client.choose(self.client.serial)
        return self.client.properties()


class Phone(Reached):
    """A device with nothing installed."""

    runtimes = bundle.RUNTIMES

    def __init__(self, name: str, reached: Client, core: str) -> None:
        super().__init__(name, reached, machine=name)
        self._core = core
        self._put = Once(self._push)
        self.conversations = Conversations(alarms=ALARMS, death=self._death)

    def require(self, runtime: str) -> None:
        """Raise EnvironmentMissing where the device does not answer, cannot be used or has no bundle."""
        client.choose(self.client.serial)
        try:
            if runtime not in self._bundle.sites:
                raise EnvironmentMissing(
                    f"There is no {runtime} in the bundle for {self.name}; it holds {', '.join(self._bundle.runtimes)}."
                )
        except DeviceFailed as error:
            raise EnvironmentMissing(str(error)) from error

    def pins(self, runtime: str) -> tuple[str, ...]:
        return (self._properties.get("ro.build.fingerprint", ""), *self._bundle.pins(runtime))

    def run(self, job: Job, turns: Turns) -> Row:
        before = self._conditions()
        reference = str(self._put(job.reference))
        with self._prepared(job, *job_arguments(job, reference), state=before) as command:
            row = self.conversations.work(command, job, turns)
        if "environment" in row:
            self._describe(row, before, self._after(row))
        return row

    def stop(self) -> None:
        self.conversations.stop()

    def clean(self) -> None:
        """Remove all that was ever pushed there."""
        client.choose(self.client.serial)
        self.client.shell(f"rm -rf {HOME}")

    def _conditions(self) -> dict[str, str]:
        return {} if self.emulated else conditions.read(self.client)

    def _after(self, row: Row) -> dict[str, str]:
        """Return the conditions at the end; where they cannot be read, the row gets a note and keeps its figures."""
        try:
            return self._conditions()
        except (DeviceFailed, EnvironmentMissing) as error:
            row["notes"] = [*row.get("notes", ()), f"what the phone was like afterwards is not known: {error}"]
            return {}

    @contextmanager
    def _prepared(self, job: Job, *arguments: str, state: dict[str, str]) -> Iterator[Command]:
        """Push what a cell needs and yield its command; afterwards kill its processes and remove its files.

        `state` holds the phone's conditions, by which the cores are chosen.
        """
        python = self._bundle.command(job.runtime, root=str(self._put(self._bundle.path)))
        sources = (bundle.program(job.runtime), job.artifact, job.sidecar)
        cores = conditions.cores(state, self._core)
        pinned = ("taskset", conditions.mask(cores)) if cores else ()
        files = file_arguments(*(f"./{source.name}" for source in sources))
        argv = (*pinned, *python.argv, "./worker.py", *files, *arguments)
        place = HOME / "jobs" / f"{os.getpid()}-{job.artifact.name}-{job.runtime}"
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in python.env.items())
        script = f"cd {place} && echo $$ > pid && export {exports} && exec {shlex.join(argv)}"
        try:
            with tempfile.TemporaryDirectory() as folder:
                for source in (*onboard.WORKER, *sources):
                    shutil.copy(source, folder)
                self.client.keep(Path(folder), place)
            yield Command(argv=self.client.argv("shell", script))
        finally:
            # Nothing can be removed from a lost device; the next push of a bundle removes it.
            with suppress(DeviceFailed):
                self.client.shell(f"[ ! -f {place}/pid ] || kill -9 $(cat {place}/pid) || true\nrm -rf {place}")

    def _push(self, source: Path) -> PurePosixPath:
        """Return where a bundle or a reference lies there, pushed first if missing."""
        target = HOME / ("bundles" if source.is_dir() else "references") / source.name
        if source.is_dir():  # phones are small: remove older bundles and the folders of lost runs
            self.client.shell(
                f"for old in {target.parent}/*; do [ $old = {target} ] || rm -rf $old; done\n"
                f"for job in {HOME}/jobs/*; do kill -0 $(cat $job/pid) || rm -rf $job; done"
            )
        self.client.keep(source, target)
        return target

    def _death(self, code: int) -> str:
        end = time.monotonic() + LOSS_NOTICED_S
        while 0 <= code <= 1 and time.monotonic() < end:  # adb's exit codes, of the program or of a lost device
            if not self.client.is_there:
                return f"{self.name} was lost"
            time.sleep(0.2)
        return processes.death(processes.from_shell(code))

    @cached_property
    def _bundle(self) -> bundle.Bundle:
        abi = self._properties.get(client.ABI, "")
        if abi not in ABIS:
            msg = f"{self.name} is of the ABI {abi or 'that it does not tell'}; there are bundles for {', '.join(sorted(set(ABIS.values())))}."
            raise EnvironmentMissing(msg)
        return bundle.build(ABIS[abi])

    def _describe(self, row: Row, before: dict[str, str], after: dict[str, str]) -> None:
        """Add to a row what it was measured on, and the state that a real phone was in."""
        properties = self._properties
        shaped = properties.get("ro.build.fingerprint", "").startswith("edgewise/android-vm/")
        soc = " ".join(properties[name] for name in ("ro.soc.manufacturer", "ro.soc.model") if properties.get(name))
        row["environment"] |= {
            "device": f"{properties.get('ro.product.manufacturer', '')} {properties.get('ro.product.model', '')}".strip(),
            "kind": "Android-shaped machine" if shaped else "emulator" if self.emulated else "device",
            "abi": properties[client.ABI],
            "android": properties.get("ro.build.version.release", ""),
            "soc": soc or properties.get("ro.board.platform", "") or properties.get("ro.hardware", ""),
            "bundle": self._bundle.digest,
        }
        if not self.emulated:
            cores = conditions.cores(before, self._core)
            row["environment"] |= conditions.facts(before, after, cores)
            row["notes"] = [*row.get("notes", ()), *conditions.warnings(before, after, cores)]


def device(name: str) -> Phone:
    kind, _, rest = name.partition(":")
    serial, plus, core = rest.partition("+")
    if plus and core not in (conditions.BIG, conditions.LITTLE):
        msg = f"{name!r} names no core: {kind}:SERIAL+{conditions.BIG} or {kind}:SERIAL+{conditions.LITTLE}."
        raise UsageError(msg)
    chosen = serial or client.choose("")
    return Phone(f"{kind}:{chosen}{plus}{core}", Client(serial=chosen), core or conditions.BIG)
