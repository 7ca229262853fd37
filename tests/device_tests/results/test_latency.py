"""What can be said of samples, on series whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from device_tests.results.latency import FASTER, NO_DIFFERENCE, SLOWER, TOO_NOISY, Interval, Series, ratio, settled


def series(scale: float = 1.0, *, noise: float = 0.01, drift: float = 0.0, count: int = 30, seed: int = 0) -> Series:
    """Return rounds of 40 samples of about 100 µs; a drift is the same in every series."""
    rng = np.random.default_rng(seed)
    level = 100_000 * scale * (1 + drift * np.linspace(0, 1, count)) * rng.normal(1, noise, count)
    samples = np.abs(level[:, None] * rng.normal(1, 0.01, (count, 40)))
    return Series(id=f"s{seed}", rounds_ns=tuple(tuple(int(ns) for ns in row) for row in samples))


def test_the_interval_of_the_median_holds_the_truth():
    intervals = [series(seed=seed).quantile(0.5) for seed in range(40)]
    inside = [interval.low < 1e5 < interval.high and interval.width < 0.03 for interval in intervals]
    assert sum(inside) >= 34  # 38 are expected of 40
    assert series().quantile(0.5) == intervals[0]  # the same samples give the same one


def test_a_quantile_needs_samples_beyond_it():
    assert series(count=20).quantile(0.99) is None
    assert series(count=30).quantile(0.99).value > series(count=30).quantile(0.5).value


def test_samples_are_per_inference_and_without_the_timer():
    one = Series(id="a", inferences=4, timer_ns=100.0, rounds_ns=((4_100, 4_100),))
    assert one.medians_ns.tolist() == [1_000.0]
    assert one.timer_share == pytest.approx(100 / 4_100)


@pytest.mark.parametrize(
    ("scale", "noise", "verdict"),
    [
        (1.0, 0.01, NO_DIFFERENCE),
        (1.1, 0.01, SLOWER),
        (0.8, 0.01, FASTER),
        (1.03, 0.01, TOO_NOISY),
        (1.0, 0.3, TOO_NOISY),
    ],
)
def test_a_ratio_says_what_its_interval_allows(scale, noise, verdict):
    assert ratio(series(scale, noise=noise, seed=1), series(noise=noise, seed=2)).verdict == verdict


def test_a_drift_that_hits_both_does_not_hide_a_difference():
    interval = ratio(series(1.1, drift=1.0, seed=1), series(drift=1.0, seed=2))
    assert interval.verdict == SLOWER
    assert interval.width < 0.03
    # one round says nothing, and borders belong to no difference
    assert ratio(series(1.5, count=1, seed=1), series(count=1, seed=2)).verdict == TOO_NOISY
    assert Interval(value=1.0, low=0.97, high=1.03).verdict == NO_DIFFERENCE


def test_a_series_is_settled_once_median_and_ratio_are_narrow():
    quiet, noisy = series(noise=0.003), series(noise=0.2, seed=3)
    assert settled(quiet, None)
    assert settled(quiet, series(noise=0.003, seed=1))
    assert not settled(noisy, None)
    assert not settled(quiet, noisy)
