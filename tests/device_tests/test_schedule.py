"""Sharing the machine, and having it alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

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

    with ThreadPoolExecutor(18) as pool:
        list(pool.map(hold, ("share", "alone", "share") * 6, timeout=20))
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

    with turns.share(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        time.sleep(0.05)
        turns.close()
        assert isinstance(waiting.exception(5), Closed)
