"""OpenSSH's own client: runs commands on a board over one shared connection, and explains failures."""

import atexit
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from subprocess import DEVNULL
from typing import IO

from models.common import processes
from models.common.errors import EnvironmentMissing, UsageError

# A leading dash would be an option of ssh's.
_ADDRESS = re.compile(
    r"(?P<target>([\w.][\w.+-]*@)?([\w.][\w.-]*|\[[0-9A-Fa-f:.]+(%[\w.]+)?\]))(:(?P<port>[0-9]{1,5}))?"
)
LOST = 255  # ssh's exit code if the connection fails
ANSWER_S = 60.0
OPTIONS = {
    "BatchMode": "yes",  # ask nothing, for nobody can answer
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",  # a board that vanished is noticed after 15 s
    "ServerAliveCountMax": "3",
    "ControlMaster": "auto",
    "ControlPersist": "60",
    # against settings of the user's configuration for interactive sessions
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ClearAllForwardings": "yes",
}
# ssh's messages, their meaning, and what to do: {ssh} connects by hand, {target} and {known} are the board's address.
SYMPTOMS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is not the one that is known here",
     "Either it was installed anew, or something else answers in its place. If you know which, forget the old key with: "
     "ssh-keygen -R '{known}', and look at the new one with: {ssh}"),
    ("Host key verification failed", "its host key is not known here", "Look at it, and accept it, with: {ssh}"),
    ("Permission denied", "it accepts none of the keys that ssh offers",
     "Give it one with: ssh-copy-id {copy}{target}. Then this must need no password: {ssh}"),
    ("Connection refused", "nothing answers ssh there",
     "Start its ssh server (Raspberry Pi: sudo systemctl enable --now ssh), or correct the port."),
    ("Could not resolve hostname", "there is no host of this name", "Correct the name, or give the address."),
    ("timed out", "it does not answer", "Is it on, and in this network? Try: {ssh}"),
    ("No route to host", "it does not answer", "Is it on, and in this network? Try: {ssh}"),
)  # fmt: skip


class Unreachable(EnvironmentMissing):
    """There is no connection to the board, or it was lost."""


class CommandFailed(EnvironmentMissing):
    """A command failed there; `last_line` is the end of its output, `full` tells that no space was left."""

    def __init__(self, message: str, last_line: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.last_line, self.full = last_line, full


class Client:
    """Runs commands at `[user@]host[:port]`; the host may be a name in the user's ssh configuration.

    EDGEWISE_SSH_CONFIG names another configuration. All commands share one connection, which ends with this program.
    """

    def __init__(self, address: str) -> None:
        match = _ADDRESS.fullmatch(address)
        if not match:
            msg = f"ssh:{address} is no board: say ssh:user@host or ssh:user@host:port, as in ssh:pi@raspberrypi."
            raise UsageError(msg)
        self.name = f"ssh:{address}"
        # brackets keep an IPv6 address apart from a port; ssh itself takes it without them
        self._target, self._port = match["target"].translate(str.maketrans("", "", "[]")), match["port"]
        self._running: set[subprocess.Popen] = set()
        self._lost = ""

    def argv(self, script: str, *arguments: str) -> tuple[str, ...]:
        """Return the command that runs a script of sh on the board, with its arguments."""
        shared = {**OPTIONS, "ControlPath": str(self._socket)}
        options = (part for name, value in shared.items() for part in ("-o", f"{name}={value}"))
        return (*self._ssh[:-1], *options, self._target, shlex.join(("sh", "-c", script, "sh", *arguments)))

    def ask(self, script: str, *arguments: str, stdin: IO[bytes] | int = DEVNULL, timeout_s: float = ANSWER_S) -> str:
        """Return a script's stdout.

        Raises CommandFailed where it fails, Unreachable where there is no connection, and from then on at once.
        """
        if self._lost:
            raise Unreachable(self._lost)
        code, stdout, stderr = self.start(self.argv(script, *arguments), stdin, timeout_s)
        if code == LOST:
            self._lost = self._explain(stderr)
            raise Unreachable(self._lost)
        if code:
            last_line = ((stdout + stderr).strip().splitlines() or [processes.death(code)])[-1][:300]
            full = "No space left on device" in stdout + stderr
            advice = "Free some, or name a folder on another disk in EDGEWISE_REMOTE_HOME."
            why = f" has no space left. {advice}" if full else f": a command there failed: {last_line}"
            raise CommandFailed(f"{self.name}{why}", last_line, full=full)
        return stdout

    def start(self, argv: tuple[str, ...], stdin: IO[bytes] | int, timeout_s: float) -> tuple[int, str, str]:
        """Run a program of this machine; return its exit code, stdout and stderr.

        Raises Unreachable where it does not end in time, or `stop` ended it.
        """
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
        with subprocess.Popen(argv, stdin=stdin, **pipes, start_new_session=True) as process:
            self._running.add(process)
            try:
                stdout, stderr = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                self._lost = f"{self.name}: {argv[0]} did not end in {timeout_s:g} s. Try: {shlex.join(self._ssh)}"
            finally:
                processes.kill(process)
                self._running.discard(process)
        if self._lost:
            raise Unreachable(self._lost)
        return process.returncode, stdout, stderr

    def stop(self) -> None:
        """Kill what is running, and let nothing start any more."""
        self._lost = f"{self.name} was interrupted"
        for process in tuple(self._running):
            processes.kill(process)

    @property
    def _ssh(self) -> tuple[str, ...]:
        """Return the command that a user types to connect."""
        if not shutil.which("ssh"):
            msg = f"{self.name} needs ssh, which is not here. On Debian and Ubuntu: sudo apt-get install openssh-client"
            raise EnvironmentMissing(msg)
        config = os.environ.get("EDGEWISE_SSH_CONFIG")
        return ("ssh", *(("-F", config) if config else ()), *(("-p", self._port) if self._port else ()), self._target)

    @cached_property
    def _socket(self) -> Path:
        folder = tempfile.mkdtemp(prefix="edgewise-")
        atexit.register(self._close, folder)
        return Path(folder, "ssh")  # short: a socket's path has 104 characters on some systems

    def _close(self, folder: str) -> None:
        with suppress(subprocess.TimeoutExpired):
            exit = (*self._ssh[:-1], "-o", f"ControlPath={self._socket}", "-O", "exit", self._target)
            subprocess.run(exit, capture_output=True, timeout=5)
        shutil.rmtree(folder, ignore_errors=True)

    def _explain(self, stderr: str) -> str:
        host = self._target.rpartition("@")[2]
        facts = {
            "ssh": shlex.join(self._ssh),
            "target": self._target,
            "copy": f"-p {self._port} " if self._port else "",
            "known": f"[{host}]:{self._port}" if self._port else host,
        }
        for symptom, meaning, advice in SYMPTOMS:
            if symptom in stderr:
                return f"{self.name} cannot be reached: {meaning}. {advice.format(**facts)}"
        lines = stderr.strip().splitlines() or ["ssh says nothing"]
        return f"{self.name} cannot be reached, or was lost: {lines[-1][:300]}. Try: {facts['ssh']}"
