"""What a comparison with another way of timing says, and one with the bare loop of a real runtime."""

import pytest

from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.latency import Interval
from tests.device_tests.benchmarks import bare
from tests.device_tests.benchmarks.overhead import OVERHEAD, TOOL, Comparison


@pytest.mark.parametrize(
    ("way", "low", "high", "verdict"),
    [
        ("bare", 1.001, 1.009, "within"),
        ("bare", 1.011, 1.02, "beyond"),
        ("bare", 1.005, 1.02, "too noisy to say"),
        ("bare", 0.9, 1.005, "within"),  # our loop cannot be faster than nothing
        ("another tool", 0.98, 1.02, "within"),
        ("another tool", 0.9, 0.96, "beyond"),
        ("another tool", 0.96, 1.0, "too noisy to say"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(way, low, high, verdict):
    ratio = Interval(value=(low + high) / 2, low=low, high=high)
    limit = OVERHEAD if way == "bare" else TOOL
    assert Comparison(id="a", way=way, turns=9, ours_ns=1.0, ratio=ratio, limit=limit).verdict == verdict


def test_both_ways_are_taken_in_turns_and_neither_is_always_first():
    order = []
    taken = bare.turns(lambda: order.append("ours") or 1.0, lambda: order.append("theirs") or 2.0, 2)
    assert taken == [[1.0, 1.0], [2.0, 2.0]]
    assert order[2:] == ["theirs", "ours", "ours", "theirs"]


def test_every_bare_loop_names_what_its_runtimes_function_holds():
    for name, body in bare.BARE.items():
        code = RUNTIMES.path(name).read_text()
        assert all(call.strip().split(" = ")[-1] in code for call in body.split(";")), name
