"""What can be said of samples, on series whose truth is known; and what a report reads of an interleaved run."""

import numpy as np
import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from device_tests.commands.latency import summary
from device_tests.results import interleaved, latency
from device_tests.results.interleaved import Roof
from device_tests.results.latency import NARROW, Interval, Series, ratio, settled
from device_tests.results.measurement import Environment
from models.common import files
from models.common.errors import DataError


def series(scale: float = 1.0, *, noise: float = 0.01, drift: float = 0.0, count: int = 30, seed: int = 0) -> Series:
    """Return rounds of 40 samples of about 100 µs; a drift is the same in every series."""
    rng = np.random.default_rng(seed)
    level = 100_000 * scale * (1 + drift * np.linspace(0, 1, count)) * rng.normal(1, noise, count)
    samples = np.abs(level[:, None] * rng.normal(1, 0.01, (count, 40)))
    return Series(id=f"s{seed}", rounds_ns=tuple(tuple(int(ns) for ns in row) for row in samples))


def test_the_interval_of_the_median_holds_the_truth_and_a_quantile_needs_samples_beyond_it():
    intervals = [series(seed=seed).quantile(0.5) for seed in range(40)]
    inside = [interval.low < 1e5 < interval.high and interval.width < 0.03 for interval in intervals]
    assert sum(inside) >= 34  # 38 are expected of 40
    assert series().quantile(0.5) == intervals[0]  # the same samples give the same one
    assert series(count=20).quantile(0.99) is None
    assert series(count=30).quantile(0.99).value > series(count=30).quantile(0.5).value


def test_samples_are_per_inference_and_without_the_timer():
    one = Series(id="a", inferences=4, timer_ns=100.0, rounds_ns=((4_100, 4_100),))
    assert one.medians_ns.tolist() == [1_000.0]
    assert one.timer_share == pytest.approx(100 / 4_100)


def test_a_ratio_says_what_its_interval_allows_and_a_drift_that_hits_both_does_not_hide_a_difference():
    verdicts = {1.0: latency.NO_DIFFERENCE, 1.1: latency.SLOWER, 0.8: latency.FASTER, 1.03: latency.TOO_NOISY}
    for scale, verdict in verdicts.items():
        assert ratio(series(scale, seed=1), series(seed=2)).verdict == verdict
    assert ratio(series(noise=0.3, seed=1), series(noise=0.3, seed=2)).verdict == latency.TOO_NOISY

    interval = ratio(series(1.1, drift=1.0, seed=1), series(drift=1.0, seed=2))
    assert interval.verdict == latency.SLOWER
    assert interval.width < 0.03
    # one round says nothing, and borders belong to no difference
    assert ratio(series(1.5, count=1, seed=1), series(count=1, seed=2)).verdict == latency.TOO_NOISY
    assert Interval(value=1.0, low=0.97, high=1.03).verdict == latency.NO_DIFFERENCE


def test_a_series_is_settled_once_median_and_ratio_are_narrow():
    quiet, noisy = series(noise=0.003), series(noise=0.2, seed=3)
    assert settled(quiet, None)
    assert settled(quiet, series(noise=0.003, seed=1))
    assert not settled(noisy, None)
    assert not settled(quiet, noisy)


NAME = "torch@desktop"
ROOFS = {"float32": Roof(dtype="float32", macs_per_s=1e9, with_="a unit")}


def steady(id: str, ns: int, **facts) -> Series:
    return Series(id=id, rounds_ns=((ns,) * 40,) * 20, artifact_sha256="a" * 64, environment={"cpu": "a CPU"}, **facts)


def test_what_was_timed_is_read_with_its_intervals_and_a_broken_run_is_said(tmp_path):
    """Of two artifacts and of one that could not be loaded."""
    every = [steady("float", 1_000, macs=100, roof="float32"), steady("int8", 500, baseline="float"),
             Series(id="broken", outcome="load_failed", reason="no")]  # fmt: skip
    run = {"seed": 3, "date": "2026-01-02", "roofs": list(ROOFS.values()), "series": every}
    file = tmp_path / "latency" / f"{NAME}.json"
    files.write_json(file, to_builtins({**run, "summary": summary(every, ROOFS)}))
    source, quantized = interleaved.read(tmp_path, NAME)
    assert (source.id, source.ratio) == ("float", None)
    assert (source.roof_share, source.roof_macs_per_s) == (pytest.approx(0.1), 1e9)
    assert quantized.p50_ns == Interval(value=500, low=500, high=500)
    assert (quantized.ratio.verdict, quantized.rounds, quantized.samples, quantized.seed) == ("faster", 20, 800, 3)
    assert quantized.environment == Environment(cpu="a CPU")
    assert (quantized.p99_ns, quantized.noisy) == (None, False)  # too few samples give no tail
    wide = Interval(value=100, low=100, high=100 * (1 + 2 * NARROW))
    assert replace(source, p50_ns=wide).noisy

    assert interleaved.read(tmp_path, "litert@desktop") == ()
    file.write_text("{}")
    with pytest.raises(DataError, match="Delete it and run: nox -s latency"):
        interleaved.read(tmp_path, NAME)
