"""How a pinned environment is installed: one line of progress, pip's own words in a log file, and never half of one.

nox imports this from the venv that it runs in, so it needs the standard library and nox's own virtualenv only.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from models.common import environments, files
from models.common.errors import EdgewiseError

PYTHON = "3.11"
LAST_LINES = 15  # of pip's output, where it fails
POLL_S = 0.2


class InstallFailed(EdgewiseError):
    """An environment could not be installed; the message ends with what to do."""

    exit_code = 4


def virtualenv(home: Path) -> list[str]:
    """Return the command that makes an empty environment."""
    return [sys.executable, "-m", "virtualenv", "--quiet", "--python", PYTHON, str(home)]


def packages(file: Path) -> tuple[str, ...]:
    """Return the names of the packages that a file of constraints pins; one may have a line for each system."""
    lines = (line.strip() for line in file.read_text().splitlines())
    return tuple(dict.fromkeys(line.split("==")[0] for line in lines if line and not line.startswith("#")))


def constraints(report: dict, bare: list[str]) -> str:
    """Return the constraints of what pip's report of an installation lists, and of what is installed `bare` beside it."""
    installed = (item["metadata"] for item in report["install"])
    pins = sorted({*bare, *(f"{m['name'].lower().replace('_', '-')}=={m['version']}" for m in installed)})
    return "\n".join(["# written by: nox -s lock", *(line for pin in pins for line in _pin_lines(pin)), ""])


def _pin_lines(pin: str) -> list[str]:
    """Return the constraint of one pin; PyTorch's CPU build has a version label of its own on Linux only."""
    if not pin.startswith("torch=="):
        return [pin]
    version = pin.split("==")[1].split("+")[0]
    return [f'torch=={version}+cpu ; sys_platform == "linux"', f'torch=={version} ; sys_platform != "linux"']


def ready(name: str, constraints: Path, *, logs: Path, show: TextIO | None = None) -> Path:
    """Return the interpreter of an environment, installed first where it is missing or its constraints changed.

    What pip prints goes into `logs`; one line of progress, and pip's last lines where it fails, go to `show`, standard
    output by default. Raises InstallFailed or StorageError; then, and where the installation is interrupted, no
    environment is left.
    """
    home = environments.folder() / name
    digest = hashlib.sha256(constraints.read_bytes()).hexdigest()
    show = show or sys.stdout
    with files.storage_errors(home):
        if not _is_current(home, digest):
            home.parent.mkdir(parents=True, exist_ok=True)
            with _alone(home, show) as lock:
                if not _is_current(home, digest):  # another nox may just have installed it
                    log = logs / f"install-{name}.log"
                    with files.storage_errors(log):
                        log.parent.mkdir(parents=True, exist_ok=True)
                        log.write_text("")
                    _install(_Installation(home=home, constraints=constraints, log=log, show=show, lock=lock))
                    (home / environments.STAMP).write_text(digest)
                    (home / environments.UNFINISHED).unlink()
    return environments.python(name, install="nox")


def remove(name: str) -> None:
    """Remove an environment; interrupted at any moment, it leaves none that counts as installed."""
    home = environments.folder() / name
    if home.exists():
        (home / environments.UNFINISHED).touch()
        aside = home.with_name(f".{home.name}.removed-{os.getpid()}")
        home.rename(aside)
    for left in home.parent.glob(f".{name}.removed-*"):  # also by a process that was killed meanwhile
        shutil.rmtree(left, ignore_errors=True)


def _is_current(home: Path, digest: str) -> bool:
    stamp = home / environments.STAMP
    return not (home / environments.UNFINISHED).exists() and stamp.exists() and stamp.read_text() == digest


@contextmanager
def _alone(home: Path, show: TextIO) -> Iterator[int | None]:
    """Hold the lock beside an environment, which the kernel frees where its holder dies; give its descriptor.

    pip inherits the descriptor: a pip that outlives a killed nox keeps the lock as long as it writes.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    descriptor = os.open(home.with_name(f".{home.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another nox is installing {_shown(home)}; waiting until it has ended", file=show, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, kw_only=True)
class _Installation:
    """What one installation works with; `began` is on the monotonic clock, in seconds."""

    home: Path
    constraints: Path
    log: Path
    show: TextIO
    lock: int | None
    began: float = field(default_factory=time.monotonic)

    @property
    def title(self) -> str:
        return f"Installing {len(packages(self.constraints))} packages into {_shown(self.home)} ..."

    def count(self) -> str:
        """Return how far pip is: it collects every package, then it installs all of them."""
        installed = sum(1 for _ in self.home.glob("lib/python*/site-packages/*.dist-info"))
        lines = self.log.read_text(errors="replace").splitlines()
        collected = sum(line.startswith(("Collecting ", "Processing ")) for line in lines)
        return f"{collected} collected, {installed} installed, {time.monotonic() - self.began:.0f} s"

    def run(self, command: list[str]) -> bool:
        """Run a command, whose output goes to the end of the log, and show how far it is; tell whether it succeeded."""
        moves = self.show.isatty()
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=() if self.lock is None else (self.lock,),
            )
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(POLL_S)
                    if moves:
                        self.rewrite(self.count())
                return process.returncode == 0
            finally:
                process.kill()  # which does nothing to one that has ended
                process.wait()

    def rewrite(self, end: str) -> None:
        """Write the line of progress over itself, which a terminal can."""
        room = max(shutil.get_terminal_size().columns - len(end) - 2, 0)  # a line that breaks cannot be written over
        print(f"\r{self.title[:room]} {end}\x1b[K", end="", file=self.show, flush=True)

    def finish(self, end: str) -> None:
        """End the line of progress."""
        if self.show.isatty():
            self.rewrite(end)
            print(file=self.show, flush=True)
        else:
            print(f" {end}", file=self.show, flush=True)


def _install(work: _Installation) -> None:
    print(work.title, end="", file=work.show, flush=True)
    try:
        remove(work.home.name)
        work.home.mkdir()
        (work.home / environments.UNFINISHED).touch()
        failure = _run_all(work)
    except BaseException as stopped:
        work.finish("interrupted" if isinstance(stopped, KeyboardInterrupt) else "failed")
        remove(work.home.name)
        raise
    if failure:
        work.finish("failed")
        remove(work.home.name)
        last = work.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        print("\n".join(f"  {line}" for line in last), file=work.show, flush=True)
        raise InstallFailed(f"{failure} pip's last lines are above, all of them in {_shown(work.log)}.")
    work.finish(f"{time.monotonic() - work.began:.0f} s, {size_bytes(work.home) / 1e6:,.0f} MB")


def size_bytes(folder: Path) -> int:
    """Return what a folder takes on the disk; a file of several names counts once."""
    sizes = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            state = os.lstat(os.path.join(place, name))
            sizes[state.st_ino, state.st_dev] = state.st_blocks * 512
    return sum(sizes.values())


def _run_all(work: _Installation) -> str:
    """Run what makes and fills an environment; return why it failed, nothing where it did not."""
    name = work.home.name
    if not work.run(virtualenv(work.home)):
        return f"No environment was made for {name}: virtualenv failed. It needs Python {PYTHON} on the PATH, and room."
    python = next(p for p in environments.interpreters(work.home) if p.exists())
    # the constraints name every package, so nothing is resolved; modules are compiled when first imported
    pip = [str(python), "-m", "pip", "--no-input", "install", "--no-deps", "--no-compile", "--progress-bar", "off"]
    # PyTorch's CPU build: from the index in use, else from PyTorch's own
    if (pin := environments.torch_pin(work.constraints)) and not (
        work.run([*pip, pin]) or work.run([*pip, "--index-url", environments.TORCH_CPU_INDEX, pin])
    ):
        return (
            f"No CPU build of PyTorch was found: pip as it is set up here has none, and {environments.TORCH_CPU_INDEX} "
            f"did not give one. Where it cannot be reached, put the wheel of {pin.split(' ;')[0]} into a folder, set "
            "PIP_FIND_LINKS to that folder, and run this again."
        )
    if not work.run([*pip, "-r", str(work.constraints)]):
        return f"{name} could not be installed, and nothing of it is left. The same command tries again."
    return ""


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
