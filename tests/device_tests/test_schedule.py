"""Sharing the machine and having it alone, in threads and real processes; and the pool of every run."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from device_tests import machine_lock, pool
from device_tests.machine_lock import MachineLock
from device_tests.schedule import Closed, Turns
from models.common.environments import ROOT
from tests.device_tests.conftest import raises

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


def test_as_many_share_as_there_are_jobs_and_nobody_is_beside_the_one_alone():
    turns, lock = Turns(jobs=2), threading.Lock()
    now = {"share": 0, "alone": 0}
    seen = []

    def hold(side):
        with getattr(turns, side)():
            with lock:
                now[side] += 1
                seen.append(dict(now))
            time.sleep(0.01)
            with lock:
                now[side] -= 1

    with ThreadPoolExecutor(18) as threads:
        list(threads.map(hold, ("share", "alone", "share") * 6, timeout=20))
    assert max(s["share"] for s in seen) == 2
    assert max(s["alone"] for s in seen) == 1
    assert all(s["share"] == 0 for s in seen if s["alone"])


def test_who_wants_it_alone_goes_before_those_who_want_to_share():
    turns, order = Turns(jobs=1), []

    def take(side):
        with getattr(turns, side)():
            order.append(side)

    with ThreadPoolExecutor(2) as threads, turns.share():
        for side in ("alone", "share"):
            threads.submit(take, side)
            time.sleep(0.05)
    assert order == ["alone", "share"]


@pytest.mark.parametrize("side", ["share", "alone"])
def test_closing_wakes_those_who_wait(side):
    turns = Turns(jobs=1)
    with turns.share(), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(getattr(turns, side)().__enter__)
        time.sleep(0.05)
        turns.close()
        assert isinstance(waiting.exception(5), Closed)


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
        started.append(subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def next_line(process: subprocess.Popen) -> str:
    return process.stdout.readline().strip()


def free(side: str) -> bool:
    waited = []
    with getattr(MachineLock(print), side)(lambda: waited.append(True) or True):
        return not waited


def test_who_takes_times_has_no_other_process_beside_it_and_nobody_new_enters_while_one_waits_for_that(process):
    shares = process("shared")
    assert next_line(shares) == "holds"
    assert (free("shared"), free("alone")) == (True, False)
    waits = process("alone")
    line = next_line(waits)
    assert line.startswith("says waiting for another run of Edgewise on this machine, ")
    assert f"process {os.getpid()}, started at 20" in line  # which took it last
    late = process("shared")
    assert next_line(late).startswith("says waiting")
    shares.communicate("\n")
    assert next_line(waits) == "holds"  # and says no second time that it waits
    assert (free("shared"), free("alone")) == (False, False)
    waits.communicate("\n")
    assert next_line(late) == "holds"


def test_who_dies_lets_go_and_what_a_holder_starts_does_not_keep_the_lock(process):
    holder = process("alone")
    assert next_line(holder) == "holds"
    holder.kill()
    holder.wait()
    assert free("alone")
    with MachineLock(print).alone():
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        assert free("alone")
    finally:
        child.communicate()


def test_closing_ends_the_waiting_for_another_process(process):
    assert next_line(process("alone")) == "holds"
    turns = Turns(jobs=1, machine=MachineLock(lambda message: turns.close()))  # once it waits
    for side in ("share", "alone"):
        with pytest.raises(Closed), getattr(turns, side)():
            pytest.fail("it is held by another process")


def test_two_threads_share_and_one_is_alone_with_the_machines_lock_too(cache):
    turns, both = Turns(jobs=2, machine=MachineLock(print)), threading.Barrier(2, timeout=30)

    def share(_) -> None:
        with turns.share():
            both.wait()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(share, range(2)))
    with turns.alone():
        assert not free("shared")
    assert free("alone")


@pytest.mark.parametrize("reason", ["a file in the way", "no flock"])
def test_where_nothing_can_be_locked_that_is_said_once_and_the_run_goes_on(cache, monkeypatch, reason):
    if reason == "no flock":
        monkeypatch.setattr(machine_lock, "fcntl", None)
    cache.touch()
    messages = []
    lock = MachineLock(messages.append)
    for hold in (lock.shared, lock.alone):
        with hold():
            pass
    (message,) = messages
    assert message.startswith("other runs of Edgewise on this machine cannot be seen (")
    assert message.endswith("): start no second one")


def test_every_item_is_worked_on_with_the_threads_of_its_host():
    seen: dict[int, str] = {}
    pool.run_all(
        range(6),
        lambda item: (item, threading.current_thread().name),
        lambda end: seen.update([end]),
        sizes={"even": 1, "odd": 1},
        host=lambda item: "odd" if item % 2 else "even",
    )
    assert sorted(seen) == list(range(6))
    assert len({seen[item] for item in (0, 2, 4)}) == len({seen[item] for item in (1, 3, 5)}) == 1
    assert seen[0] != seen[1]


@pytest.mark.parametrize("where", ["work", "ended"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_or_an_interrupt_nothing_begins_and_what_runs_is_ended(where, error):
    begun, cancelled, fail = [], threading.Event(), raises(error())

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            return fail() if where == "work" else None
        assert cancelled.wait(10)  # item 1 ends only once it is cancelled

    with pytest.raises(error):
        pool.run_all(range(20), work, fail if where == "ended" else print, sizes={"": 2}, cancel=cancelled.set)
    assert set(begun) <= {0, 1, 2}
