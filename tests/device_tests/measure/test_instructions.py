"""Counts of instructions: what is read from the plugin's log, what is kept, and real counts under qemu."""

import shutil

import numpy as np
import pytest

from device_tests import devices
from device_tests.cells import cells, select
from device_tests.contract import Broken, Command, Load
from device_tests.devices import desktop
from device_tests.measure import instructions
from device_tests.onboard import probe
from device_tests.results import instructions as counts
from device_tests.results.instructions import InstructionCount
from models.common import files
from models.common.errors import DataError, EnvironmentMissing
from tests import programs
from tests.device_tests.conftest import ID, raises


def log(inference: int, nothing: int, others: int = 0) -> str:
    times = probe.WARM_UP + probe.COUNTED
    own = np.cumsum([1_000_000, *[inference + nothing] * times, 17, *[nothing] * times])
    return "".join(f"{count} {others * i}\n" for i, count in enumerate(own))


def test_the_marks_own_share_is_taken_off_and_what_other_threads_execute_is_told_apart():
    assert f"{probe.MARK:#010x}" in instructions.SOURCE.read_text(), "probe and plugin agree on the mark"
    assert instructions.samples(log(5_000, 300, others=70)) == ((5_000,) * probe.COUNTED, (70,) * probe.COUNTED)
    with pytest.raises(Broken, match="marks"):
        instructions.samples("1\n2\n")


def test_the_least_sample_counts_the_spread_is_told_and_a_broken_or_foreign_count_is_said(tmp_path):
    count = InstructionCount(artifact="a", runtime="r", device="d", samples=(104, 100, 110, 104))
    assert (count.instructions, count.spread) == (100, 0.1)
    assert InstructionCount(artifact="a", runtime="r", device="d", outcome="run_failed").instructions is None
    file = counts.path(tmp_path, count.id)
    assert counts.read(file) is None
    files.write_bytes(file, b"{}")
    with pytest.raises(DataError, match="Delete it"):
        counts.read(file)


def test_the_processor_is_read_from_the_command_and_a_missing_emulator_says_what_to_install(monkeypatch, tmp_path):
    qemu = programs.script(tmp_path / "qemu-x", "echo 'no such option' >&2; exit 3")
    with pytest.raises(EnvironmentMissing, match="does not tell its version: no such option"):
        instructions._version(str(qemu))
    monkeypatch.setattr(instructions, "_version", lambda qemu: f"{qemu} version 7")
    emulated = Command(argv=("setarch", "-R", "/opt/qemu-aarch64", "-L", "/x", "-cpu", "cortex-a53", "python", "-S"))
    assert instructions.emulator(emulated) == ("qemu-aarch64 cortex-a53", "/opt/qemu-aarch64 version 7")

    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == desktop.QEMU else f"/usr/bin/{tool}")
    load = Load(runtime="litert", artifact=tmp_path, sidecar=tmp_path, timeout_s=1)
    with pytest.raises(EnvironmentMissing, match="qemu-x86_64.*sudo apt-get install qemu-user$"):
        devices.device("desktop").counted(load, tmp_path, tmp_path)
    counting = {"desktop": True, "cortex-a53": True, "ssh:a@b": False, "android:1": False}
    assert {name: devices.device(name).counts for name in counting} == counting  # which is known without asking


@pytest.fixture
def count(folders, monkeypatch):
    """Return a function that counts the test's artifact on a fake runtime."""
    monkeypatch.setenv("EDGEWISE_CACHE", str(folders.environments / "cache"))

    def run(name: str, **changes) -> tuple[InstructionCount, bool]:
        folders.make_emulable(name)
        ended = []
        places = {"artifacts_folder": folders.bench.artifacts, "results": folders.bench.results}
        options = {"force": False, "jobs": 1, "timeout_s": 120.0, **places, **changes}
        instructions.run(select(cells(), runtimes=(name,), patterns=(ID,)), ended=ended.append, **options)
        return ended[0].count, ended[0].current

    return run


def test_a_count_that_fails_or_that_nobody_foresaw_is_a_row_and_replaces_no_good_one(folders, tmp_path, monkeypatch):
    folders.runtime("fake")
    (cell,) = select(cells(), runtimes=(), patterns=(ID,))
    monkeypatch.setattr(desktop.Desktop, "counted", lambda *arguments: None)
    monkeypatch.setattr(instructions, "emulator", lambda command: ("cpu", "qemu"))
    monkeypatch.setattr(instructions.Counter, "_warm", lambda *arguments: None)

    def settle(facts) -> instructions.Ended:
        monkeypatch.setattr(instructions.Counter, "_count", lambda *arguments: facts())
        counting = instructions.Counter(artifacts=folders.bench.artifacts, results=folders.bench.results, force=True,
                                    timeout_s=1.0, plugin=tmp_path)  # fmt: skip
        return counting.settle(cell)

    good = settle(lambda: {"samples": (5, 5), "notes": ()}).count
    file = counts.path(folders.bench.results, good.id)
    for facts in ({"outcome": "timed_out", "reason": "no answer"}, {"outcome": "run_failed", "reason": "killed"}):
        assert settle(lambda facts=facts: facts).count.outcome == facts["outcome"]
        assert counts.read(file) == good
    count = settle(raises(AssertionError("what cannot be"))).count
    assert (count.outcome, count.reason) == ("run_failed", "unexpected: AssertionError: what cannot be")
    assert counts.read(file) == good
    settle(lambda: {"outcome": "unsupported", "reason": "it says no"})
    assert counts.read(file).outcome == "unsupported"


@pytest.mark.needs(desktop.QEMU, "cc")
@pytest.mark.slow
def test_two_counts_are_identical_the_second_run_finds_the_first_and_more_work_is_more_instructions(folders, count):
    name = folders.runtime("honest")
    first, again, stored = count(name), count(name, force=True), count(name)
    assert first[0].outcome == "ok"
    assert first[0].samples == again[0].samples
    assert first[0].instructions > 7_840  # multiplications and additions, eight at a time, and Python around them
    assert (first[1], again[1], stored[1]) == (False, False, True)
    assert stored[0] == again[0]
    assert counts.read(counts.path(folders.bench.results, again[0].id)) == again[0]
    many = count(folders.runtime("many", "def answer(logits):\n    for i in range(1000): pass\n    return logits"))
    assert many[0].instructions > first[0].instructions + 1_000


CLOCK = """
last = 0.0
def answer(logits):
    global last
    now = time.perf_counter()
    if now - last > 0.0001:
        last = now
        sum(range(200))
    return logits"""
THREADED = """
import threading
def answer(logits):
    thread = threading.Thread(target=lambda: sum(range(10_000)))
    thread.start()
    thread.join()
    return logits"""


@pytest.mark.needs(desktop.QEMU, "cc")
@pytest.mark.slow
def test_what_a_runtime_does_by_the_clock_is_the_same_in_each_run_and_another_thread_does_not_look_cheap(
    folders, count
):
    name = folders.runtime("by_the_clock", CLOCK)
    first, again = count(name)[0], count(name, force=True)[0]
    assert first.samples == again.samples
    assert first.spread > 0.1

    (note,) = count(folders.runtime("threaded", THREADED))[0].notes
    assert int("".join(filter(str.isdigit, note))) > 10_000, note


@pytest.mark.needs(desktop.QEMU, "cc")
@pytest.mark.slow
def test_what_cannot_be_counted_is_a_row(folders, count):
    def counted(name: str, code: str) -> InstructionCount:
        return count(folders.runtime(name, f"def load(path, threads):\n    {code}"), timeout_s=20.0)[0]

    crash, hang = counted("crashes", "os.abort()"), counted("hangs", "signal.pause()")
    refusal = counted("refuses", "raise ValueError('does not know the op')")
    assert crash.outcome == "run_failed"
    assert (refusal.outcome, refusal.reason) == ("unsupported", "ValueError: does not know the op")
    assert (hang.outcome, hang.samples) == ("timed_out", ())
    assert not list(counts.path(folders.bench.results, "").parent.glob(".*"))
