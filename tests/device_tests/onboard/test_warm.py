"""Workers that are forked from a process in which their runtime has been started."""

import os
import sys

import pytest

from device_tests import devices
from device_tests.contract import DESKTOP
from device_tests.transport import starting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
STARTS = "def start(threads):\n    with open({!r}, 'a') as file:\n        file.write('x')\n    {}\n    return threads"


@pytest.fixture
def starts(tmp_path):
    """Return a function that gives the code of a runtime which counts its starts, and one that counts them."""
    file = tmp_path / "starts"

    def coded(more: str = "pass") -> tuple:
        return STARTS.format(str(file), more), lambda: len(file.read_text())

    return coded


def test_a_runtime_is_started_once_for_several_cells_and_answers_the_same(folders, starts, monkeypatch):
    code, count = starts()
    runtime = folders.runtime("counted", code)
    rows = [folders.row(runtime, force=True) for _ in range(3)]
    assert count() == 1
    folders.runtime("counted", code + "\n# another adapter is another runtime")
    rows.append(folders.row(runtime))
    assert count() == 2
    monkeypatch.setattr(starting.Starter, "_source", lambda self, command, timeout_s: None)  # none to be forked from
    alone = folders.row(runtime, force=True)
    assert count() == 3
    for row in rows:
        assert (row.outcome, row.agree, row.max_abs_error) == ("ok", alone.agree, alone.max_abs_error)
        assert abs(row.baseline_rss_bytes - alone.baseline_rss_bytes) < 4e6
        grown, alone_grown = (r.peak_rss_bytes - r.baseline_rss_bytes for r in (row, alone))
        assert abs(grown - alone_grown) < 2e6


def test_a_crash_costs_one_worker_and_what_they_are_forked_from_ends_with_whoever_started_it(folders, starts, tmp_path):
    code, count = starts(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))")
    crash = f"""
def load(path, threads):
    if not os.path.exists({str(tmp_path / "crashed")!r}):
        os.mkdir({str(tmp_path / "crashed")!r})
        os.abort()
    return lambda native: None
"""
    runtime = folders.runtime("crashing", code + crash)
    row = folders.row(runtime)
    assert (row.outcome, row.reason) == ("run_failed", "killed by SIGABRT while loading and timing")
    assert folders.row(runtime).reason.startswith("the output is")  # it ran, and gave no logits
    assert count() == 1
    devices.device(DESKTOP).starter.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_runtime_with_threads_of_its_own_is_not_forked(folders, starts):
    code, count = starts("import threading; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
    runtime = folders.runtime("threaded", code)
    assert [folders.row(runtime, force=True).outcome for _ in range(2)] == ["ok", "ok"]
    assert count() == 3  # the one that cannot be forked from, and each worker
