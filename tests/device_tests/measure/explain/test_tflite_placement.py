"""Asking a runtime which operators it gave away: a process that hangs, dies or babbles costs one file, not the command."""

import os
import signal
import time
from pathlib import Path

import pytest

from device_tests.measure.explain import tflite
from models.common.errors import EdgewiseError
from tests import interpreters

ANSWERING = """
import sys
for line in sys.stdin: print('{"taken": [0, 2], "amx": null, "accelerated": null}', flush=True)
"""
HANG = "import subprocess, sys; subprocess.Popen(['sleep', '600']); sys.stdin.read(); import time; time.sleep(600)"
FILE = Path("net.tflite")


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """Return a function that lets a runtime's Python run a program of the test's; each start appends its process id."""
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path))
    monkeypatch.setattr(tflite, "TIMEOUT_S", 60.0)

    def install(program: str) -> Path:
        code, pids = tmp_path / "program.py", tmp_path / "pids"
        code.write_text(program)
        interpreters.install(tmp_path, "litert", arguments=f'"{code}"', before=f'echo $$ >> "{pids}"')
        return pids

    tflite._process.cache_clear()
    yield install
    tflite._process.cache_clear()


def group_has_ended(group: int) -> bool:
    for _ in range(100):  # what was killed may take a moment to be reaped by its new parent
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_runtime_that_hangs_is_killed_with_all_that_it_started_and_is_an_error(runtime, monkeypatch):
    pids = runtime(HANG)
    monkeypatch.setattr(tflite, "TIMEOUT_S", 1.0)
    with pytest.raises(EdgewiseError, match="litert does not load net.tflite: no answer in 1 s"):
        tflite._placement(FILE, "litert")
    assert group_has_ended(int(pids.read_text()))


@pytest.mark.parametrize(
    "line",
    [
        "'garbage'",
        "'[]'",
        "'{}'",
        """'{"taken": "all", "amx": null, "accelerated": null}'""",
        """'{"taken": [0.5], "amx": null, "accelerated": null}'""",
        """'{"taken": [0], "amx": "yes", "accelerated": null}'""",
        """'{"error": 7}'""",
        "'[' * 100_000",
        "'x' * 3_000_000",
    ],
)
def test_what_is_no_answer_is_an_error_and_the_next_file_gets_a_new_process(runtime, line):
    pids = runtime(f"import sys\nsys.stdin.readline()\nprint({line}, flush=True)\nsys.stdin.read()")
    with pytest.raises(EdgewiseError, match="litert does not load net.tflite: its process wrote something that is no"):
        tflite._placement(FILE, "litert")
    runtime(ANSWERING)
    assert tflite._placement(FILE, "litert") == tflite._placement(FILE, "litert")
    assert tflite._placement(FILE, "litert")["taken"] == [0, 2]
    first, second = pids.read_text().split()  # which answers for several files
    assert first != second


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (f"sys.stdin.readline()\nos.kill(os.getpid(), {int(signal.SIGSEGV)})", "killed by SIGSEGV"),
        ("sys.stdin.readline()\nsys.exit(3)", "ended with exit code 3"),
        ("sys.exit(4)", "ended with exit code 4"),
    ],
)
def test_a_runtime_that_dies_says_how(runtime, end, message):
    runtime(f"import os, sys\n{end}")
    if "readline" not in end:  # it does not wait until it is asked
        tflite._process("litert").wait()
    with pytest.raises(EdgewiseError, match=f"litert does not load net.tflite: {message}"):
        tflite._placement(FILE, "litert")
