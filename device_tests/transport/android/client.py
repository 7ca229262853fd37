"""The real adb client. adb ends with exit code 0 on several failures, so its output is read everywhere.

`adb devices`, `connect` and `wait-for-device` always end with 0, `shell` when the device is lost while it waits, `push`
when it skips a file. So states are parsed, scripts end with a mark and their exit code, and pushed files are verified
by digests that the device computes.
"""

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from device_tests.transport.android import child
from models.common import files
from models.common.errors import EdgewiseError, EnvironmentMissing, StorageError

ANSWER_S, PUSH_S = 60.0, 900.0  # most seconds for a short command, and for a push of the bundle
SERVER_S = 10.0
ABI = "ro.product.cpu.abi"
SERVER_PORT = "ANDROID_ADB_SERVER_PORT"
DONE = "edgewise-exit:"
REMEDIES = {
    "unauthorized": "Unlock it and accept this computer's key; where it does not ask: adb kill-server, and plug it in again.",
    "authorizing": "Unlock it and accept this computer's key.",
    "offline": "It is connected but does not answer: plug it in again, or start it again.",
    "no permissions": "This user may not talk to it over USB: install android-sdk-platform-tools-common (udev rules).",
}
NO_DEVICE = (
    "Connect a phone with USB debugging switched on, or take the machine that needs none: nox -s 'devices(android-vm)'"
)


class DeviceFailed(EdgewiseError):
    """A device did not do what was asked; the message is its own, or adb's."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """adb, for one device; `clean` is the command that removes what Edgewise keeps there, "" where that is bundles."""

    serial: str
    clean: str = ""

    def argv(self, *arguments: str) -> tuple[str, ...]:
        return (program(), "-s", self.serial, *arguments)

    @property
    def is_there(self) -> bool:
        return attached().get(self.serial) == "device"

    def shell(self, script: str, *, timeout_s: float = ANSWER_S) -> str:
        """Return a script's output; raises DeviceFailed where it fails, takes too long or the device is lost."""
        output = self._run("shell", f"(\n{script}\n) 2>&1; echo {DONE}$?", timeout_s=timeout_s)
        printed, mark, code = output.rpartition(DONE)
        if not mark:
            raise DeviceFailed(f"{self.serial} was lost, or the shell there was killed: {_last(output)}")
        if code.strip() != "0":
            raise DeviceFailed(f"{self.serial} says, with exit code {code.strip()}: {_last(printed)}")
        return printed

    def keep(self, source: Path, target: PurePosixPath) -> None:
        """Make a folder or file there equal to the one here, verified by digests.

        Raises StorageError where there is no room, DeviceFailed where files do not arrive.
        """
        expected = {member.relative_to(source).as_posix(): files.sha256(member) for member in files.members(source)}
        if self.digests(target) == expected:
            return
        quoted = shlex.quote(str(target))
        self.shell(f"rm -rf {quoted} && mkdir -p {shlex.quote(str(target.parent))}")
        # the dot: the folder's content is pushed, not the folder into itself
        local, remote = (f"{source}/.", f"{target}/") if source.is_dir() else (str(source), str(target))
        output = self._run("push", local, remote, timeout_s=PUSH_S)
        arrived = self.digests(target)
        if arrived == expected:
            return
        self.shell(f"rm -rf {quoted}")
        if "No space left" in output:
            free_mb = self.free_mb(target.parent)
            clean = self.clean or f"nox -s 'devices(android)' -- --clean --device android:{self.serial}"
            raise StorageError(
                f"{self.serial} has no room for {source.name}, {files.size_bytes(source) / 1e6:.0f} MB; {free_mb} MB are "
                f"free. Free some there, or remove what Edgewise keeps: {clean}"
            )
        missing = sum(arrived.get(name) != digest for name, digest in expected.items())
        msg = f"{missing} of {len(expected)} files of {source.name} did not arrive at {self.serial}: {_last(output)}"
        raise DeviceFailed(msg)

    def digests(self, target: PurePosixPath) -> dict[str, str]:
        """Return the SHA-256 of each file of a folder there by its relative name, or of a single file as "."."""
        quoted = shlex.quote(str(target))
        # a plain file is no folder to list
        listing = f"[ ! -d {quoted} ] || {{ cd {quoted} && find . -type f -exec sha256sum {{}} +; }}"
        lines = self.shell(f"if [ -f {quoted} ]; then sha256sum < {quoted}; else {listing}; fi", timeout_s=PUSH_S)
        pairs = (line.split(maxsplit=1) for line in lines.splitlines() if line.strip())
        return {"." if name.strip() == "-" else name.strip().removeprefix("./"): digest for digest, name in pairs}

    def free_mb(self, folder: PurePosixPath) -> int:
        return int(self.shell(f"df -k {shlex.quote(str(folder))} | tail -n 1").split()[-3]) // 1024

    def properties(self) -> dict[str, str]:
        """Return getprop's properties; a board without getprop has its processor's name from the kernel."""
        lines = self.shell(f'getprop 2>/dev/null || echo "[{ABI}]: [$(uname -m)]"').splitlines()
        pairs = (line.strip().split("]: [") for line in lines if "]: [" in line)
        return {name.lstrip("["): value.rstrip("]") for name, value in pairs}

    def _run(self, *arguments: str, timeout_s: float) -> str:
        """Return adb's whole output; its exit code means nothing."""
        try:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            done = subprocess.run(self.argv(*arguments), **pipes, text=True, errors="replace", timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            msg = f"{self.serial} did not answer in {timeout_s:g} s: adb {shlex.join(arguments)[:200]}"
            raise DeviceFailed(msg) from error
        return done.stdout


def program() -> str:
    """Return the path of adb: from PATH, or from the SDK in ANDROID_HOME; raises EnvironmentMissing."""
    adb = shutil.which("adb") or shutil.which("adb", path=f"{os.environ.get('ANDROID_HOME', '')}/platform-tools")
    if not adb:
        msg = "There is no adb. On Debian and Ubuntu install it with: sudo apt-get install adb (or set ANDROID_HOME)"
        raise EnvironmentMissing(msg)
    return adb


def attached() -> dict[str, str]:
    """Return the state of each device that adb sees, by serial; starts adb's server where none runs."""
    try:
        done = subprocess.run([program(), "devices"], capture_output=True, text=True, timeout=ANSWER_S)
    except subprocess.TimeoutExpired as error:
        msg = f"adb does not answer in {ANSWER_S:g} s. Start its server again: adb kill-server"
        raise EnvironmentMissing(msg) from error
    _, mark, listing = done.stdout.partition("List of devices attached")
    if not mark:
        msg = f"adb lists no devices: {_last(done.stdout + done.stderr)} Start its server again: adb kill-server"
        raise EnvironmentMissing(msg)
    rows = (line.split("\t") for line in listing.splitlines() if "\t" in line)
    return {serial: state.partition("(")[0].partition(";")[0].strip() for serial, state in rows}


def choose(serial: str, kind: str = "android") -> str:
    """Return the serial of a device that can be used: this one, or for "" the only one; `kind` is for the message.

    Raises EnvironmentMissing, with what to do, where there is no device, several of which none is named, or one that
    does not let this computer in.
    """
    devices = attached()
    listed = ", ".join(f"{name} ({state})" for name, state in sorted(devices.items()))
    if not devices:
        raise EnvironmentMissing(f"adb sees no device{f' {serial}' if serial else ''}, nor any other. {NO_DEVICE}")
    if not serial and len(devices) > 1:
        raise EnvironmentMissing(f"adb sees several devices: {listed}. Say which: --device {kind}:SERIAL")
    chosen = serial or next(iter(devices))
    if chosen not in devices:
        raise EnvironmentMissing(f"adb sees no device {chosen}. It sees: {listed}.")
    if devices[chosen] != "device":
        remedy = REMEDIES.get(devices[chosen], "It must be started as usual, with USB debugging switched on.")
        raise EnvironmentMissing(f"{chosen} is {devices[chosen]}. {remedy}")
    return chosen


def connect(serial: str) -> None:
    """Connect to a device over TCP, HOST:PORT; raises DeviceFailed where it does not answer."""
    done = subprocess.run([program(), "connect", serial], capture_output=True, text=True, timeout=ANSWER_S)
    end = time.monotonic() + SERVER_S
    while not (client := Client(serial=serial)).is_there:  # adb says "connected" before the device has answered
        if time.monotonic() > end:
            raise DeviceFailed(f"{client.serial} does not answer adb: {_last(done.stdout + done.stderr)}")
        time.sleep(0.1)


@contextmanager
def server() -> Iterator[None]:
    """Run an adb server for this process and its children only; the user's server and devices are not touched."""
    port = str(free_port())
    before = os.environ.get(SERVER_PORT)
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "log"
        quiet = {"ADB_USB": "0", "ADB_EMU": "0", "ADB_MDNS": "0", "HOME": home, "TMPDIR": home}
        with child.running((program(), "-P", port, "nodaemon", "server"), log=log, env=quiet):
            _await_port(int(port), log)
            os.environ[SERVER_PORT] = port
            try:
                yield
            finally:
                os.environ.pop(SERVER_PORT)
                if before is not None:
                    os.environ[SERVER_PORT] = before


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_port(port: int, log: Path) -> None:
    end = time.monotonic() + SERVER_S
    while time.monotonic() < end:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise EnvironmentMissing(f"adb's server did not start within {SERVER_S:g} s: {child.last_words(log)}")


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "adb says nothing"
