"""Sharing the machine and having it alone; and the pool of every run, in which nothing begins after an error or an interrupt."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from device_tests import pool
from device_tests.schedule import Closed, Turns


def _start(task) -> threading.Thread:
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    return thread


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

    with turns.share():
        alone = _start(lambda: take("alone"))
        time.sleep(0.05)
        share = _start(lambda: take("share"))
        time.sleep(0.05)
    alone.join(5)
    share.join(5)
    assert order == ["alone", "share"]


@pytest.mark.parametrize("side", ["share", "alone"])
def test_closing_wakes_those_who_wait(side):
    turns = Turns(jobs=1)

    def wait():
        with getattr(turns, side)():
            pass

    with turns.share(), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        time.sleep(0.05)
        turns.close()
        assert isinstance(waiting.exception(5), Closed)


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


@pytest.mark.parametrize("raises", ["work", "ended"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_or_an_interrupt_nothing_begins_and_what_runs_is_ended(raises, error):
    begun, cancelled = [], threading.Event()

    def fail(*_):
        raise error

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            return fail() if raises == "work" else None
        assert cancelled.wait(10)  # item 1 ends only once it is cancelled

    with pytest.raises(error):
        pool.run_all(range(20), work, fail if raises == "ended" else print, sizes={"": 2}, cancel=cancelled.set)
    assert set(begun) <= {0, 1, 2}
