"""An orchestrator that is killed in the middle, in a process of its own; and two at once in one folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device_tests.devices import desktop
from models.common.environments import ROOT
from tests.device_tests.conftest import ID, LIMITS, running

PATIENCE_S = 60

# Types a command with a test's own runtimes; `KILLED` is at which file it kills itself, half of it written.
COMMAND = """
import os, signal, sys
from pathlib import Path
import device_tests.onboard.runtimes
from device_tests import devices
from export import matrix

device_tests.onboard.runtimes.__path__[:] = [os.environ["RUNTIMES"]]
matrix.MATRIX = {"torch": {"torchscript": ("float32",)}, "keras": {}}
devices.KINDS.names = lambda: ("desktop",)
left, write = [int(os.environ["KILLED"])], Path.write_bytes

def write_bytes(self, content):
    left[0] -= 1
    if left[0]:
        return write(self, content)
    write(self, content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

Path.write_bytes = write_bytes
from device_tests.__main__ import group
from models.common import console
console.main(group)
"""
# Stands still in its first process, until that is killed.
STANDS_STILL = """
def load(path, threads):
    if os.path.exists({flag!r}):
        return lambda image: (image.reshape(1, 784) @ np.load(path)).astype(np.float32)
    open({flag!r}, "w").close()
    time.sleep(600)
"""

# Notes when its timing began and ended; whoever else is timing at that moment would come between.
NOTED = """
def answer(logits):
    if calls in (2, 160):
        with open({spans!r}, "a") as file:
            file.write(f"{{calls}} {{os.getpid()}}\\n")
    time.sleep(0.0005)
    return logits
"""


@pytest.fixture
def typed(folders, tmp_path) -> Callable[..., subprocess.Popen]:
    def start(name: str, *arguments: str, killed: int = 0) -> subprocess.Popen:
        places = ["--artifacts", str(folders.bench.artifacts), "--results", str(folders.bench.results)]
        if name == "run":
            (tmp_path / "budgets.toml").write_text(LIMITS.format("ok"))
            places += ["--budgets", str(tmp_path / "budgets.toml")]
        facts = {"RUNTIMES": str(folders.runtimes), "KILLED": str(killed), "EDGEWISE_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-c", COMMAND, name, *places, *arguments]
        log = (tmp_path / "log").open("a")
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **facts}, stdout=log, stderr=log)

    return start


def wait_for(true: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def contents(results: Path) -> dict[str, bytes]:
    """Return the results by file, each of which is whole."""
    content_of = {str(p.relative_to(results)): p.read_bytes() for p in results.rglob("[!.]*") if p.is_file()}
    for name, content in content_of.items():
        if name.endswith(".json"):
            json.loads(content)
    return content_of


def count_of(results: Path, command: str) -> int:
    return len(list((results if command == "run" else results / command).glob("[!.]*.json")))


EACH = [
    pytest.param("run", ("--jobs", "1"), id="run"),
    pytest.param("latency", ("--limit", "1"), id="latency"),
    pytest.param("instructions", (), id="instructions", marks=[pytest.mark.needs(desktop.QEMU, "cc")]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "arguments"), EACH)
def test_a_killed_command_leaves_no_process_and_is_finished_by_the_next(folders, typed, tmp_path, command, arguments):
    flag = tmp_path / "standing"
    for name, code in (("first", ""), ("second", STANDS_STILL.format(flag=str(flag)))):
        folders.make_emulable(folders.runtime(name, code))
    if command == "instructions":  # the first process is not emulated, and only warms up
        flag.touch()
    process = typed(command, *arguments)
    wait_for(lambda: count_of(folders.bench.results, command) == 1, "the first runtime is done")
    if command == "instructions":
        wait_for(lambda: [line for line in running(tmp_path) if desktop.QEMU in line and "second" in line], "qemu runs")
    else:
        wait_for(flag.exists, "the second runtime stands still")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not running(tmp_path), "no process is left")
    (result,) = [name for name in contents(folders.bench.results) if "first" in name and name.endswith(".json")]
    written_ns = (folders.bench.results / result).stat().st_mtime_ns

    flag.touch()
    assert typed(command, *arguments).wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
    assert count_of(folders.bench.results, command) == 2
    assert (folders.bench.results / result).stat().st_mtime_ns == written_ns
    contents(folders.bench.results)
    assert not list(folders.bench.results.rglob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize(("command", "arguments"), EACH)
def test_neither_a_kill_while_it_writes_nor_two_at_once_in_one_folder_leave_anything_half(
    folders, typed, tmp_path, command, arguments
):
    results = folders.bench.results
    for name in ("first", "second"):
        folders.make_emulable(folders.runtime(name))
    assert typed(command, *arguments, killed=1).wait(PATIENCE_S) == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert list(results.rglob(".*.tmp*"))
    contents(results)
    assert count_of(results, command) == 0
    for at_once, force in ((1, ()), (2, ("--force",))):
        every = [typed(command, *arguments, *force) for _ in range(at_once)]
        ends = [process.wait(2 * PATIENCE_S) for process in every]
        assert not any(ends), (tmp_path / "log").read_text()
        contents(results)
        assert count_of(results, command) == 2
        assert not list(results.rglob(".*"))
        assert not running(tmp_path)


@pytest.mark.slow
def test_a_report_that_is_killed_while_it_writes_keeps_the_one_that_was_there(folders, typed, tmp_path):
    folders.runtime("honest")
    report = tmp_path / "report"
    assert typed("run").wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
    assert typed("report", "--report", str(report)).wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
    files = {name: len(content) for name, content in contents(report).items()}
    for killed in range(1, len(files) + 1):
        assert typed("report", "--report", str(report), killed=killed).wait(PATIENCE_S) == -signal.SIGKILL
        assert {name: len(content) for name, content in contents(report).items()} == files
    assert typed("report", "--report", str(report), killed=len(files) + 1).wait(PATIENCE_S) == 0


def test_neither_two_cells_nor_two_runs_take_times_at_once(folders, typed, tmp_path):
    spans = tmp_path / "spans"
    for i in range(2):
        folders.runtime(f"noted{i}", NOTED.format(spans=str(spans)))
    both = [typed("run", "--only", ID, "--results", str(tmp_path / name)) for name in ("one", "other")]
    assert [process.wait(2 * PATIENCE_S) for process in both] == [0, 0], (tmp_path / "log").read_text()
    lines = [line.split() for line in spans.read_text().splitlines()]
    assert [call for call, _ in lines] == ["2", "160"] * 4
    assert all(lines[i][1] == lines[i + 1][1] for i in range(0, 8, 2))
