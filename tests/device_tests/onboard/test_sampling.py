"""When more samples, or more images, would say nothing new."""

import time

import numpy as np
import pytest

from device_tests.onboard import sampling


@pytest.mark.parametrize(("least_ns", "count"), [(0, 150), (60e9, sampling.SAMPLES)])
def test_sampling_ends_once_the_median_is_known_narrowly_and_a_disturbance_would_be_over(monkeypatch, least_ns, count):
    monkeypatch.setattr(sampling, "LEAST_NS", least_ns)
    monkeypatch.setattr(sampling, "STARVED", 0)  # however busy this machine is
    monkeypatch.setattr(sampling, "is_narrow", lambda ns: len(ns) >= 150)
    assert len(sampling.take(lambda image: None, [None], limit_s=600, threads=1).ns) == count


def test_all_samples_are_taken_where_others_take_the_core_away_and_a_limit_that_ends_it_is_said(monkeypatch):
    monkeypatch.setattr(sampling, "LEAST_NS", 0)
    monkeypatch.setattr(sampling, "is_narrow", lambda ns: True)
    monkeypatch.setattr(sampling.time, "process_time_ns", lambda: 0)  # as if this process had no core at all
    samples = sampling.take(lambda image: None, [None], limit_s=600, threads=1)
    assert len(samples.ns) == sampling.SAMPLES
    assert samples.notes[0].startswith("timed on a busy machine")

    monkeypatch.undo()
    samples = sampling.take(lambda image: time.sleep(0.01), [None], limit_s=0.1, threads=1)
    assert 1 <= len(samples.ns) <= 11  # a busy machine may not give it more than one
    assert samples.notes[0] == f"{len(samples.ns)} latency samples in 0.1 s, not 1024"


def test_an_interval_of_the_median_is_narrow_within_one_percent_unless_the_median_drifts():
    rng = np.random.default_rng(0)
    narrow, wide = (rng.normal(1e6, 1e6 * spread, 400).tolist() for spread in (0.01, 0.2))
    assert sampling.is_narrow(narrow)
    assert not sampling.is_narrow(wide)
    assert not sampling.is_narrow(narrow[: sampling.LEAST - 1])
    drifting = np.linspace(1e6, 1.05e6, 400).tolist()
    low, high = sampling.interval(drifting)
    assert high - low < 0.01 * low  # as narrow as it would be, were the samples independent
    assert not sampling.is_narrow(drifting)
    assert sampling.is_narrow(rng.permutation(drifting).tolist())


def test_the_interval_of_a_median_covers_it_as_often_as_it_says():
    """Exactly what `is_narrow` measures the width of, on samples of a skewed distribution as latencies are of."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1_000):
        low, high = sampling.interval(1 + rng.exponential(size=200))
        covered += low <= 1 + np.log(2) <= high
    assert 930 <= covered <= 975


def test_a_slow_cell_is_looked_at_now_and_then_and_other_sets_are_as_large_as_is_asked_and_time_allows():
    assert sampling.looks(10_000, 0, slow=False) == [10_000]
    assert sampling.looks(10_000, 0, slow=True) == [1_000, 2_000, 4_000, 8_000, 10_000]
    assert sampling.looks(10_000, 1_000, slow=True) == [500, 1_000]
    assert sampling.looks(300, 0, slow=True) == [300]
    sizes = [sampling.of_other_set(10_000, requested, slow=slow) for requested in (0, 1_000) for slow in (False, True)]
    assert sizes == [10_000, 200, 200, 100]

    waits = iter((0.05, 0.0, 0.05))
    assert sampling.shortest(lambda image: time.sleep(next(waits)), [None] * 9) < 40e6
    assert sampling.shortest(lambda image: time.sleep(0.002), [None]) > sampling.SLOW_NS
