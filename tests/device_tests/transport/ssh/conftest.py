"""A real OpenSSH server on this machine's loopback, with keys, port and configuration of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from device_tests import devices
from device_tests.devices.ssh import Remote
from device_tests.transport.android.client import free_port
from device_tests.transport.ssh import board as boards
from tests import programs

NUMPY = f"numpy=={version('numpy')}"


@dataclass(frozen=True, kw_only=True)
class Server:
    """An ssh server whose client configuration knows it as `board`."""

    folder: Path
    port: int
    process: subprocess.Popen

    @property
    def config(self) -> Path:
        return self.folder / "client"

    def connections(self) -> list[int]:
        """Return the processes that each serve one connection."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def drop(self) -> None:
        """End every connection at once, as a pulled plug does."""
        for pid in self.connections():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        if self.process.poll() is None:
            connections = self.connections()  # which outlive it
            self.process.kill()
            self.process.wait()
            for pid in connections:
                with suppress(ProcessLookupError):  # it may have ended with the server
                    os.kill(pid, signal.SIGKILL)


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextmanager
def running(folder: Path, *settings: str, **environment: str) -> Iterator[Server]:
    """Run a server with more settings, whose sessions have this environment.

    A PATH needs a HOME with it: the user's own ~/.bashrc may set another.
    """
    folder.mkdir(parents=True)
    user, host = make_key(folder / "user"), make_key(folder / "host")
    port = free_port()
    variables = " ".join(f'"{name}={value}"' for name, value in environment.items())
    lines = (
        *(f"ListenAddress 127.0.0.1:{port}", f"HostKey {host}", f"AuthorizedKeysFile {user}.pub", "PidFile none"),
        *("StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes", *settings),
        *([f"SetEnv {variables}"] if variables else []),
    )
    (folder / "server").write_text("\n".join(lines) + "\n")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host.with_suffix('.pub').read_text()}")
    (folder / "client").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n"
        f"Host *\n IdentityFile {user}\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {folder / 'known_hosts'}\n GlobalKnownHostsFile /dev/null\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # which Debian's service makes
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([programs.find("sshd"), "-D", "-e", "-f", folder / "server"], stderr=log)
    server = Server(folder=folder, port=port, process=process)
    try:
        while "Server listening" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.01)
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("ssh") / "server") as started:
        yield started


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """Where the board keeps what it was given, for all tests: installing takes a while."""
    return tmp_path_factory.mktemp("board")


@pytest.fixture
def board(server, home, monkeypatch) -> Iterator[Callable[..., Remote]]:
    """Return what makes the board a new device: of this server or another, with this home or another."""

    def make(at: Server = server, *, home: Path = home, name: str = "ssh:board") -> Remote:
        monkeypatch.setenv("EDGEWISE_SSH_CONFIG", str(at.config))
        monkeypatch.setenv("EDGEWISE_REMOTE_HOME", str(home))
        devices.device.cache_clear()
        return devices.device(name)

    yield make
    devices.device.cache_clear()


@pytest.fixture
def pin(monkeypatch, tmp_path) -> Callable[..., str]:
    """Return what pins a runtime on boards; all that a fake one needs is numpy."""
    folder = tmp_path / "constraints"
    folder.mkdir()
    monkeypatch.setattr(boards, "CONSTRAINTS", folder)

    def write(runtime: str, *pins: str) -> str:
        (folder / f"{runtime}.txt").write_text("\n".join(["# pins", *(pins or [NUMPY]), ""]))
        return runtime

    return write
