"""Several runs of Edgewise on one machine: times are taken alone, in real processes."""

import signal
import subprocess
import sys
import threading

import pytest

from device_tests import machine_lock
from device_tests.schedule import Closed, Turns
from models.common.environments import ROOT

# Holds the machine and tells so, until a line comes.
HOLDER = """
import sys
from device_tests.machine_lock import MachineLock
def says(message):
    print("says", message, flush=True)
with getattr(MachineLock(says), sys.argv[1])():
    print("holds", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEWISE_CACHE", str(folder))
    monkeypatch.setattr(machine_lock, "folder", lambda: folder)
    return folder


@pytest.fixture
def process(cache):
    """Return a function that starts a process which holds the machine on one side."""
    started = []

    def start(side: str) -> subprocess.Popen:
        argv = [sys.executable, "-c", HOLDER, side]
        begun = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(begun)
        return begun

    yield start
    for one in started:
        one.kill()
        one.communicate()


def next_line(process: subprocess.Popen) -> str:
    return process.stdout.readline().strip()


def free(side: str) -> bool:
    waited = []
    with getattr(machine_lock.MachineLock(print), side)(lambda: waited.append(True) or True):
        return not waited


def test_who_takes_times_has_no_other_process_beside_it(process):
    first = process("alone")
    assert next_line(first) == "holds"
    assert not free("alone")
    assert not free("shared")
    second = process("shared")
    line = next_line(second)
    assert line.startswith("says waiting for another run of Edgewise on this machine, ")
    assert f"process {first.pid}, started at 20" in line
    first.communicate("\n")
    assert next_line(second) == "holds"  # and says no second time that it waits
    assert free("shared")
    assert not free("alone")


def test_nobody_new_enters_while_one_waits_to_be_alone(process):
    shares = process("shared")
    assert next_line(shares) == "holds"
    waits = process("alone")
    assert next_line(waits).startswith("says waiting")
    late = process("shared")
    assert next_line(late).startswith("says waiting")
    shares.communicate("\n")
    assert next_line(waits) == "holds"
    assert not free("shared")
    waits.communicate("\n")
    assert next_line(late) == "holds"


def test_who_dies_lets_go_and_what_a_holder_starts_does_not_keep_the_lock(process):
    holder = process("alone")
    assert next_line(holder) == "holds"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert free("alone")
    with machine_lock.MachineLock(print).alone():
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        assert free("alone")
    finally:
        child.communicate()


def test_closing_ends_the_waiting_for_another_process(process):
    assert next_line(process("alone")) == "holds"
    turns = Turns(jobs=1, machine=machine_lock.MachineLock(lambda message: turns.close()))  # once it waits
    for side in ("share", "alone"):
        with pytest.raises(Closed), getattr(turns, side)():
            pytest.fail("it is held by another process")


def test_two_threads_share_and_one_is_alone_with_the_machines_lock_too(cache):
    turns = Turns(jobs=2, machine=machine_lock.MachineLock(print))
    both = threading.Barrier(2, timeout=30)

    def share() -> None:
        with turns.share():
            both.wait()

    thread = threading.Thread(target=share)
    thread.start()
    with turns.share():
        both.wait()
    thread.join(30)
    with turns.alone():
        assert not free("shared")
    assert free("alone")


@pytest.mark.parametrize("reason", ["a file in the way", "no flock"])
def test_where_nothing_can_be_locked_that_is_said_once_and_the_run_goes_on(cache, monkeypatch, reason):
    if reason == "no flock":
        monkeypatch.setattr(machine_lock, "fcntl", None)
    else:
        cache.touch()
    messages = []
    lock = machine_lock.MachineLock(messages.append)
    with lock.shared():
        pass
    with lock.alone():
        pass
    (message,) = messages
    assert message.startswith("other runs of Edgewise on this machine cannot be seen (")
    assert message.endswith("): start no second one")
