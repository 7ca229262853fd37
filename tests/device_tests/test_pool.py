"""The pool of every run: results as they come, and nothing begins any more after an error or an interrupt."""

import threading

import pytest

from device_tests import pool


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
