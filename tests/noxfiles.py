"""A stand-in for nox, which the environment `core` does not hold, and the noxfile on it.

What nox itself does with the sessions is seen in CI, which types each of them.
"""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

from device_tests.onboard.runtimes import RUNTIMES
from models.common.environments import ROOT

CELLS = " ".join(f"a@{name}@desktop" for name in RUNTIMES.names())


class CommandFailed(Exception):
    """As nox.command has it."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class Quit(Exception):
    """What session.error ends a session with."""


class Session:
    """Writes down what is run and installed; `fails` are parts of what does not succeed, `prints` is what commands print."""

    def __init__(self, *posargs: str, fails: tuple[str, ...] = (), prints: str = CELLS) -> None:
        self.posargs, self.fails, self.prints = list(posargs), fails, prints
        self.done: list[str] = []
        self.words: list[str] = []

    def run(self, *command: str, env=None, silent: bool = False, log: bool = True) -> str | bool:
        environment, _, *arguments = command
        checks = "check arguments of " if env else ""
        self.write_down(f"{checks}{' '.join(arguments)} in {environment}")
        return self.prints if silent else True

    def write_down(self, line: str) -> None:
        self.done.append(line)
        if any(failing in line for failing in self.fails):
            raise CommandFailed

    def log(self, text: str) -> None:
        self.words.append(text)

    warn = log

    def error(self, text: str) -> None:
        raise Quit(text)


def environment(session: Session, name: str) -> str:
    """Write down that an environment is installed, except for the one that everything needs."""
    if name != "core":
        session.write_down(f"install {name}")
    return name


def sessions() -> ModuleType:
    """Return the module that can be imported beside nox only, and has been with the noxfile."""
    return sys.modules["device_tests.nox_sessions"]


@pytest.fixture
def noxfile(monkeypatch, tmp_path) -> ModuleType:
    """The noxfile in an empty folder, without a user's results; environments are installed by writing that down."""
    monkeypatch.chdir(tmp_path)

    nox = ModuleType("nox")
    nox.options = SimpleNamespace()
    nox.session = lambda function: function
    nox.parametrize = lambda name, values: nox.session
    nox.param = lambda value, id: value
    nox.command = SimpleNamespace(CommandFailed=CommandFailed)
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile_under_test", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    for where in (module, sessions()):
        monkeypatch.setattr(where, "environment", environment)
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return module


@pytest.fixture
def run_nox(noxfile) -> Callable[..., Session]:
    """Return a function that runs a session by its name, as `nox -s` takes it, and gives what it wrote down."""

    def run(name: str, *posargs: str, session: Session | None = None, **behaviour) -> Session:
        session = session or Session(*posargs, **behaviour)
        function, _, parameter = name.removesuffix(")").partition("(")
        getattr(noxfile, function)(session, *([parameter] if parameter else []))
        return session

    return run
