"""Cells on a board over a real ssh server: answers, and what a run makes of a board that misbehaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from device_tests.results import measurement as measurements
from device_tests.results import parity
from device_tests.results.measurement import Measurement
from models.common.environments import ROOT
from tests import programs
from tests.device_tests.conftest import ID, run_module
from tests.device_tests.transport.ssh.conftest import running

pytestmark = pytest.mark.slow

REAL = "torch_cnn_small-{}-int8@{}@{}"
OK = ("ok", "")
LOST = ("run_failed", "the connection to ssh:board was lost while judging")

# notes the worker's process where the test finds it
NOTES = """
def note():
    with open({path!r}, "w") as file:
        file.write(str(os.getpid()))
"""
LOAD = "def load(path, threads):\n    "
SLEEPS = LOAD + "note()\n    time.sleep(600)"
HOLDS_THE_LOCK = LOAD + "import ctypes\n    note()\n    ctypes.PyDLL(None).sleep(600)"
SLOW_LOGITS = """
import traceback
def answer(logits):
    if any(frame.name == "judge" for frame in traceback.extract_stack()):
        note()
        time.sleep(600)
    return logits
"""


def pid(path: Path) -> int:
    """Wait until a worker noted itself."""
    while not path.exists() or not path.read_text():
        time.sleep(0.02)
    return int(path.read_text())


def reasons(rows: dict[str, Measurement]) -> dict[str, tuple[str, str]]:
    return {id: (row.outcome, row.reason) for id, row in rows.items()}


@pytest.fixture
def run(folders, board) -> Callable[..., dict[str, Measurement]]:
    """Return what runs fake runtimes on the board, or other devices; it gives the rows that were not current."""
    board()

    def run_cells(*patterns: str, where: tuple[str, ...] = ("ssh:board",), **options) -> dict[str, Measurement]:
        ends = folders.run(*patterns, where=where, **options)
        return {id.removeprefix(f"{ID}@"): end.measurement for id, end in ends.items() if not end.current}

    return run_cells


BOTH = ("ssh:board", "desktop")


@pytest.fixture
def fake(folders, pin, tmp_path) -> Callable[..., str]:
    """Return what installs a fake runtime on the desktop and pins it on the board."""

    def install(name: str, code: str = "") -> str:
        return pin(folders.runtime(name, NOTES.format(path=str(tmp_path / f"{name}.pid")) + code))

    return install


def test_a_boards_row_says_where_it_was_measured_and_a_second_run_finds_it_current(run, fake, board):
    fake("honest")
    row = run(f"{ID}@*")["honest@ssh:board"]
    assert (row.outcome, row.reason, row.total) == ("ok", "", 200)
    assert row.latencies_ns
    assert row.environment.extra["kernel"].startswith("Linux ")
    board()
    assert run(f"{ID}@*") == {}
    fake("honest", "# changed")
    assert list(run(f"{ID}@*")) == ["honest@ssh:board"]


def test_the_desktop_and_a_board_work_side_by_side(run, fake, tmp_path):
    """Each fake waits for the other device's: one after the other they would wait for ever."""
    (tmp_path / "met").mkdir()
    meets = f"""
def load(path, threads):
    open({str(tmp_path / "met")!r} + f"/{{os.getpid()}}", "w").close()
    while len(os.listdir({str(tmp_path / "met")!r})) < 2:
        time.sleep(0.01)
    return lambda image: image.reshape(1, 784) @ np.load(open(path, "rb"), allow_pickle=False)
"""
    fake("meets", meets)
    rows = run(f"{ID}@*", where=BOTH)
    assert reasons(rows) == {"meets@ssh:board": OK, "meets@desktop": OK}


@pytest.mark.parametrize(("code", "reason"), [
    (LOAD + "os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV while loading and timing"),
    (LOAD + "os._exit(3)", "ended with exit code 3 while loading and timing"),
    (LOAD + "raise ValueError('bad magic')", "ValueError: bad magic"),
], ids=["crashes", "exits", "raises"])  # fmt: skip
def test_a_worker_that_ends_there_is_the_row_that_it_is_here(run, fake, code, reason):
    fake("ends", code)
    assert [row.reason for row in run(f"{ID}@*", where=BOTH).values()] == [reason, reason]


@pytest.mark.parametrize("code", [SLEEPS, HOLDS_THE_LOCK], ids=["sleeps", "holds_pythons_lock"])
def test_a_hang_is_a_row_and_its_worker_does_not_outlive_it(run, fake, tmp_path, code):
    fake("hangs", code)
    rows = run(f"{ID}@*", timeout_s=8)
    assert reasons(rows) == {"hangs@ssh:board": ("timed_out", "no answer in 8 s while loading and timing")}
    assert programs.ends(pid(tmp_path / "hangs.pid"))


def test_a_dropped_connection_costs_its_cell_and_leaves_nothing_behind(run, fake, board, server, home, tmp_path):
    for name in ("a", "b", "c"):
        fake(name, SLOW_LOGITS if name == "b" else "")
    worker = []

    def drop(end):
        if not worker:
            worker.append(pid(tmp_path / "b.pid"))
            server.drop()

    rows = run(f"{ID}@*", on_ended=drop)
    assert reasons(rows) == {"a@ssh:board": OK, "b@ssh:board": LOST, "c@ssh:board": OK}
    assert programs.ends(worker[0])
    assert not list(home.glob("edgewise-ssh/*.pid"))
    fake("b")
    board()
    assert reasons(run(f"{ID}@*")) == {"b@ssh:board": OK}


def test_a_lost_board_costs_its_own_cells_and_a_second_run_makes_up_for_them(run, fake, board, tmp_path):
    for name in ("a", "b", "c"):
        fake(name, SLOW_LOGITS if name == "b" else "")

    def lose(end):
        if end.measurement.id.endswith("a@ssh:board"):
            pid(tmp_path / "b.pid")
            other.end()

    with running(tmp_path / "other") as other:
        board(other)
        rows = run(f"{ID}@[ac]@*", f"{ID}@b@ssh:board", where=BOTH, on_ended=lose)
    skipped = rows.pop("c@ssh:board")
    assert skipped.outcome == "skipped"
    assert "nothing answers ssh there" in skipped.reason
    assert reasons(rows) == {"a@ssh:board": OK, "a@desktop": OK, "b@ssh:board": LOST, "c@desktop": OK}
    fake("b")
    board()  # the board is back
    rows = run(f"{ID}@[ac]@*", f"{ID}@b@ssh:board", where=BOTH)
    assert reasons(rows) == {"b@ssh:board": OK, "c@ssh:board": OK}


def test_a_board_that_says_nothing_any_more_is_lost(run, fake, server, tmp_path):
    """As one whose plug was pulled: nothing closes the connection, but it is not answered."""
    fake("b", SLOW_LOGITS)

    def freeze():
        pid(tmp_path / "b.pid")
        for connection in server.connections():
            os.kill(connection, signal.SIGSTOP)

    try:
        with ThreadPoolExecutor() as pool:
            pool.submit(freeze)
            rows = run(f"{ID}@*", timeout_s=60)
    finally:
        server.drop()
    assert reasons(rows) == {"b@ssh:board": LOST}
    assert programs.ends(pid(tmp_path / "b.pid"))


type_in = partial(run_module, "device_tests", "ssh")


def test_real_runtimes_answer_on_a_board_as_on_the_desktop(board, tmp_path):
    """What CI's earlier steps exported, on one processor: the logits are the same to the last bit."""
    board()
    pairs = (("tflite", "litert"), ("onnx", "onnxruntime"))
    only = [part for pair in pairs for part in ("--only", REAL.format(*pair, "*"))]
    command = ("--device", "ssh:board", "--device", "desktop", *only, "--quick", "--results", tmp_path)
    assert "4 ok; 0 were current" in type_in(*command)
    for pair in pairs:
        row = measurements.read(measurements.path(tmp_path, REAL.format(*pair, "ssh:board")))
        compared = parity.compare(row, tmp_path)
        assert compared["same"] == compared["compared"] == 1_000
        assert row.environment.runtime
    assert "4 were current" in type_in(*command)


def test_ctrl_c_is_one_sentence_and_leaves_no_worker(board, home, tmp_path):
    board()
    only = ("--only", REAL.format("tflite", "litert", "*"), "--force", "--results", tmp_path)
    command = [sys.executable, "-m", "device_tests", "ssh", "--device", "ssh:board", *only]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (noted := list(home.glob("edgewise-ssh/*.pid"))) or not noted[0].read_text():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        worker = int(noted[0].read_text())
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.strip() == "Interrupted. What is finished is kept; the same command does the rest."
    assert programs.ends(worker)


def test_the_command_cleans_a_board_of_what_was_put_there_and_says_which_cannot_be_reached(board, tmp_path):
    mine = tmp_path / "mine"
    mine.touch()
    board(home=tmp_path).board.push({"it": mine})
    assert len(list(tmp_path.iterdir())) == 2
    assert type_in("--device", "ssh:board", "--clean").strip() == "Removed all of Edgewise from ssh:board"
    assert list(tmp_path.iterdir()) == [mine]
    board(home=tmp_path / "home").board.push({"it": mine})
    type_in("--device", "ssh:board", "--clean")
    assert not (tmp_path / "home").exists()
    output = type_in("--device", "ssh:root@127.0.0.1:9", code=4)
    assert output.startswith("error: ssh:root@127.0.0.1:9 cannot be reached: nothing answers ssh there.")
    assert "Say which board" in type_in(code=2)
