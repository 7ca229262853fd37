"""Files on a board: a pinned environment per runtime, and files under the digest of their content."""

import hashlib
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from device_tests.transport.ssh.client import Client, CommandFailed
from models.common import environments, files
from models.common.console import out, plain
from models.common.errors import EnvironmentMissing

FOLDER = "edgewise-ssh"  # a folder of its own, so that --clean removes nothing else
CONSTRAINTS = environments.ROOT / "constraints"
INSTALL_S = 1800.0  # slow networks, slow cards
MANIFEST = "sha256"

# The pins are tested with Python 3.11, so it is preferred. A marked line shows whether the login shell prints anything.
CONNECT = """
cd && mkdir -p "$1" && cd "$1" && mkdir -p "$2" && cd "$2" && echo "edgewise $PWD" || exit
for python in python3.11 python3; do
    "$python" -c 'import platform, sys; print(sys.executable, platform.python_version(), platform.machine())' && exit
done
true
"""
READY = 'if [ -e "$1/complete" ]; then cd "$1"/lib/python3*/site-packages && ls -d *.dist-info; fi'
# in two steps: venv does not say why it cannot install pip
VENV = 'rm -rf "$1" && "$2" -m venv --without-pip "$1" && "$1/bin/python" -I -m ensurepip >/dev/null'
# It ends with the connection, which closes its stdin: a second run may make the same environment meanwhile.
PIP = """
environment=$1; shift
exec 3<&0
set -- --quiet --disable-pip-version-check --no-deps --only-binary :all: "$@"
"$environment/bin/python" -I -m pip install "$@" </dev/null 3<&- & pid=$!
{ read -r _ <&3; kill $pid; } >/dev/null 2>&1 & watch=$!
wait $pid; code=$?
kill $watch
[ $code = 0 ] && touch "$environment/complete"
exit $code
"""
REMOVE = 'rm -rf "$1"'
PLATFORMS = "from pip._vendor.packaging import tags; print(*dict.fromkeys(tag.platform for tag in tags.sys_tags()))"
HOLDS = 'cd "$1" 2>/dev/null && sha256sum -c sha256 >/dev/null 2>&1 && echo yes || echo no'
TAKE = """
rm -rf "$1" "$1.part" && mkdir -p "$1.part" && tar -xof - -C "$1.part" &&
( cd "$1.part" && sha256sum -c sha256 >/dev/null ) && mv "$1.part" "$1" && exit
code=$?; rm -rf "$1.part"; exit $code
"""
CLEAN = 'rm -rf "$1" && { rmdir "${1%/*}" 2>/dev/null || true; }'
# The first argument is a prefix of the paths, for tests.
STATE = r"""
echo "kernel $(uname -sr)"
model=$1/proc/device-tree/model
[ -r "$model" ] && echo "model $(tr -d '\000' <"$model")"
for file in "$1"/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    [ -r "$file" ] && echo "governor $(cat "$file")"
done
for zone in "$1"/sys/class/thermal/thermal_zone*; do
    celsius=$(cat "$zone/temp" 2>/dev/null) && echo "zone $celsius $(cat "$zone/type")"
done
true
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The board's folder for this project, and its Python."""

    home: str
    python: str
    version: str
    machine: str


class Board:
    """Installs and copies files on a board, and reads its state; every method raises EnvironmentMissing."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._pushed: dict[str, str] = {}

    @cached_property
    def place(self) -> Place:
        """The board's folder, made if it is missing: in EDGEWISE_REMOTE_HOME, or in the user's cache there."""
        base = os.environ.get("EDGEWISE_REMOTE_HOME") or ".cache/edgewise"
        lines = self.client.ask(CONNECT, base, FOLDER).splitlines()
        home = next((line for line in lines if line.startswith("edgewise ")), None)
        if home is None or lines[0] != home:
            raise EnvironmentMissing(
                f"On {self.client.name} the login shell says {' '.join(lines)[:200]!r} before a command's own output. "
                "Let it print nothing where it is not interactive (~/.bashrc)."
            )
        if len(lines) < 2:
            raise EnvironmentMissing(
                f"There is no Python 3 on {self.client.name}. "
                "On Debian and Ubuntu install it there with: sudo apt-get install python3 python3-venv"
            )
        python, version, machine = lines[1].rsplit(maxsplit=2)
        return Place(home=home.removeprefix("edgewise "), python=python, version=version, machine=machine)

    def environment(self, runtime: str) -> str:
        """Return the folder of a runtime's environment; environments of the same pins share one."""
        key = hashlib.sha256(f"{_constraints(runtime).read_text()}{self.place}".encode()).hexdigest()
        return f"{self.place.home}/environments/{key[:32]}"

    def installed(self, runtime: str) -> tuple[str, ...]:
        """Return the packages of the runtime's environment, which is made first if it is missing."""
        environment = self.environment(runtime)
        if not self.client.ask(READY, environment):
            count = len(_constraints(runtime).read_text().splitlines()) - 1
            out.print(plain(f"{self.client.name}: installing {count} packages for {runtime}, once"), soft_wrap=True)
            try:
                self._install(runtime, environment)
            except CommandFailed:  # a half-made environment may be what fills the board
                self.client.ask(REMOVE, environment)
                raise
        return tuple(self.client.ask(READY, environment).split())

    def push(self, content: Mapping[str, Path]) -> str:
        """Return a folder on the board with these files by name; a folder that is complete is not sent again."""
        manifest = "".join(f"{files.sha256(path)}  {name}\n" for name, path in sorted(content.items()))
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        folder = f"{self.place.home}/files/{digest[:32]}"
        if digest not in self._pushed:
            if self.client.ask(HOLDS, folder).strip() != "yes":
                self._send(folder, content, manifest)
            self._pushed[digest] = folder
        return folder

    def state(self) -> dict[str, Any]:
        """Return what times depend on: model, kernel, frequency governors, and temperatures in °C by thermal zone."""
        return parse_state(self.client.ask(STATE, ""))

    def clean(self) -> None:
        """Remove everything that was put on the board."""
        self.client.ask(CLEAN, self.place.home, timeout_s=INSTALL_S)

    def _send(self, folder: str, content: Mapping[str, Path], manifest: str) -> None:
        with tempfile.TemporaryFile() as packed, tempfile.NamedTemporaryFile() as listed:
            listed.write(manifest.encode())
            listed.flush()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for name, path in {**content, MANIFEST: Path(listed.name)}.items():
                    archive.add(path, name)
            packed.seek(0)
            self.client.ask(TAKE, folder, stdin=packed, timeout_s=INSTALL_S)

    def _install(self, runtime: str, environment: str) -> None:
        """Install the pins with the board's own pip, or with wheels that are downloaded here where that fails."""
        constraints = _constraints(runtime)
        try:
            self.client.ask(VENV, environment, self.place.python, timeout_s=INSTALL_S)
        except CommandFailed as error:
            if "No module named ensurepip" not in error.last_line:
                raise
            package = f"python{self.place.version.rpartition('.')[0]}-venv"
            msg = (
                f"{self.place.python} on {self.client.name} cannot make environments. "
                f"On Debian and Ubuntu install what it needs there with: sudo apt-get install {package}"
            )
            raise CommandFailed(msg, error.last_line) from error
        pins = f"{self.push({constraints.name: constraints})}/{constraints.name}"
        try:
            self._from_indexes(constraints, lambda index: self._pip(environment, *index, "-r", pins))
        except CommandFailed as error:
            if error.full:
                raise
            failure = f"{self.client.name}: its own pip fails ({error.last_line}); fetching the wheels here"
            out.print(plain(failure), soft_wrap=True)
            with tempfile.TemporaryDirectory() as wheels:
                self._from_indexes(
                    constraints, lambda index: self._download(runtime, environment, Path(wheels), *index)
                )
                folder = self.push({wheel.name: wheel for wheel in Path(wheels).iterdir()})
            self._pip(environment, "--no-index", "--find-links", folder, "-r", pins)

    @staticmethod
    def _from_indexes(constraints: Path, fetch: Callable[[tuple[str, ...]], None]) -> None:
        """Fetch pins from the index in use, and PyTorch's from PyTorch's index, too, where that has no CPU build."""
        try:
            fetch(())
        except CommandFailed as error:
            if error.full or not environments.torch_pin(constraints):
                raise
            fetch(("--extra-index-url", environments.TORCH_CPU_INDEX, "--retries", "1"))

    def _pip(self, environment: str, *options: str) -> None:
        held, holds = os.pipe()
        try:
            self.client.ask(PIP, environment, *options, stdin=held, timeout_s=INSTALL_S)
        finally:
            os.close(held)
            os.close(holds)

    def _download(self, runtime: str, environment: str, folder: Path, *options: str) -> None:
        """Download the wheels that fit the board, as the board's own pip says."""
        platforms = self.client.ask('"$1/bin/python" -I -c "$2"', environment, PLATFORMS).split()
        command = (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"),
            *("--python-version", self.place.version, "--dest", str(folder), "-r", str(_constraints(runtime))),
            *options,
            *(part for platform in platforms for part in ("--platform", platform)),
        )
        code, stdout, stderr = self.client.start(command, DEVNULL, INSTALL_S)
        if code:
            errors = [line for line in stderr.splitlines() if line.startswith("ERROR")] or [stderr or stdout]
            msg = (
                f"{runtime} cannot be installed on {self.client.name}, which has Python {self.place.version} on "
                f"{self.place.machine}: {errors[-1].removeprefix('ERROR: ')[:300]}. The pins are made for Python 3.11, "
                "which is taken where it is installed there (python3.11 and python3.11-venv), on 64-bit systems."
            )
            raise CommandFailed(msg, errors[-1])


def _constraints(runtime: str) -> Path:
    return CONSTRAINTS / f"{runtime}.txt"


def parse_state(output: str) -> dict[str, Any]:
    """Return a board's state from the output of STATE; what the board does not have is left out."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    single = {name: value for name, value in lines if name in ("kernel", "model")}
    governors = sorted({value for name, value in lines if name == "governor"})
    zones = [value.partition(" ")[::2] for name, value in lines if name == "zone"]
    return {
        **single,
        **({"governors": governors} if governors else {}),
        **({"temperatures_c": {kind: int(reading) / 1000 for reading, kind in zones}} if zones else {}),
    }
