"""What can be said of samples, on series whose truth is known; and interleaved runs of fake runtimes."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import numpy as np
import pytest

from device_tests.__main__ import group
from device_tests.cells import cells, select
from device_tests.measure import roofline, rounds
from device_tests.results.latency import FASTER, NO_DIFFERENCE, SLOWER, TOO_NOISY, Interval, Series, ratio, settled
from models.errors import EdgewiseError, UsageError

ID = "torch_cnn_small-torchscript-float32"
GOLDEN = ({"image_u8": base64.b64encode(bytes(range(196)) * 4).decode(), "logits": [0.0] * 10},)


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


def test_the_same_samples_give_the_same_interval():
    assert series().quantile(0.9) == series().quantile(0.9)


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


def test_one_round_says_nothing():
    assert ratio(series(1.5, count=1, seed=1), series(count=1, seed=2)).verdict == TOO_NOISY


def test_a_series_is_settled_once_median_and_ratio_are_narrow():
    quiet, noisy = series(noise=0.003), series(noise=0.2, seed=3)
    assert settled(quiet, None)
    assert settled(quiet, series(noise=0.003, seed=1))
    assert not settled(noisy, None)
    assert not settled(quiet, noisy)


def test_borders_belong_to_no_difference():
    assert Interval(value=1.0, low=0.97, high=1.03).verdict == NO_DIFFERENCE


@pytest.fixture
def entrants(folders, monkeypatch):
    """Return a maker of entrants: the test's artifact on fake runtimes of 0.3 ms and more per inference."""
    from tests.device_tests.conftest import save_artifact

    save_artifact(folders.bench.artifacts, np.zeros((784, 10), np.float32), golden=GOLDEN)

    def make(*names: str) -> list[rounds.Entrant]:
        chosen = select(cells(), runtimes=names, patterns=(ID,))
        able, unable = rounds.entrants(chosen, folders.bench.artifacts)
        assert not unable
        return able

    return make


SPINS = "def answer(logits):\n    end = time.perf_counter() + 3e-4\n    while time.perf_counter() < end: pass\n    return logits"


def measure(taking_part, limit_s: float = 3.0, seed: int = 0):
    timed = rounds.measure(
        taking_part, rng=np.random.default_rng(seed), limit_s=limit_s, report_progress=lambda text: None
    )
    return {series.id: series for series in timed}


def test_rounds_measure_every_artifact_as_often(folders, entrants):
    timed = measure(entrants(folders.runtime("first", SPINS), folders.runtime("second", SPINS)))
    assert len(timed) == 2
    lengths = {len(series.rounds_ns) for series in timed.values()}
    assert len(lengths) == 1
    assert lengths.pop() >= 2
    for series in timed.values():
        assert (series.outcome, series.threads) == ("ok", 1)
        assert series.medians_ns.min() >= 3e5
        assert series.timer_share < 0.001


def test_short_inferences_are_timed_together(folders, entrants):
    (timed,) = measure(entrants(folders.runtime("quick")), limit_s=1).values()
    assert timed.inferences > 1
    assert timed.timer_share < 0.002  # of the calibration, 0.001


def test_what_ends_on_the_way_is_a_row_and_the_others_go_on(folders, entrants):
    crashes = folders.runtime("crashes", "def answer(logits):\n    calls > 500 and os.abort()\n    return logits")
    refuses = folders.runtime("refuses", "def load(path, threads):\n    raise ValueError('does not know the op')")
    timed = measure(entrants(crashes, refuses, folders.runtime("honest")), limit_s=1)
    outcomes = {id.split("@")[1]: (series.outcome, series.reason) for id, series in timed.items()}
    assert outcomes["honest"] == ("ok", "")
    assert outcomes["refuses"] == ("unsupported", "ValueError: does not know the op")
    assert outcomes["crashes"] == ("run_failed", "killed by SIGABRT while timing")
    assert timed[f"{ID}@honest@desktop"].rounds_ns


def test_a_batch_keeps_schemes_of_a_model_and_format_together():
    chosen = select(cells(), runtimes=("litert",), patterns=())
    batches = list(rounds.batches(chosen))
    assert sum(map(len, batches)) == len(chosen)
    families = [{(cell.recipe.model, cell.recipe.format) for cell in batch} for batch in batches]
    assert all(not a & b for a, b in pairwise(families))
    assert len(batches) > 1


def test_the_command_writes_samples_and_what_they_say(folders, entrants, tmp_path, capsys):
    entrants(folders.runtime("honest"))
    places = ["--artifacts", str(folders.bench.artifacts), "--results", str(tmp_path)]
    group.main(["latency", "--limit", "2", "--seed", "7", "--only", ID, *places], standalone_mode=False)
    content = json.loads((tmp_path / "latency" / "honest@desktop.json").read_text())
    assert content["seed"] == 7
    (row,), (raw,) = content["summary"], content["series"]
    assert row["id"] == raw["id"] == f"{ID}@honest@desktop"
    assert row["p50_ns"]["low"] <= row["p50_ns"]["value"] <= row["p50_ns"]["high"]
    assert row["samples"] == sum(map(len, raw["rounds_ns"]))
    assert "p50" in capsys.readouterr().out


def test_rounds_that_are_current_are_kept_and_never_mixed_with_those_of_another_run(
    folders, entrants, tmp_path, capsys
):
    entrants(folders.runtime("honest"))
    file = tmp_path / "latency" / "honest@desktop.json"

    def type_in(*arguments: str) -> dict:
        places = ["--artifacts", str(folders.bench.artifacts), "--results", str(tmp_path)]
        group.main(["latency", "--limit", "0.1", "--only", ID, *places, *arguments], standalone_mode=False)
        return json.loads(file.read_text())

    first = type_in()
    assert type_in() == first
    assert "honest: current" in capsys.readouterr().out
    assert type_in("--seed", "1")["seed"] == 1
    first["series"].append(first["series"][0] | {"id": "torch_cnn-torchscript-int8@honest@desktop"})
    file.write_text(json.dumps(first))
    with pytest.raises(UsageError, match="holds 1 artifacts that this run would not time, torch_cnn-torchscript-int8@"):
        type_in()
    assert json.loads(file.read_text()) == first
    assert len(type_in("--force")["series"]) == 1


def self_check(folders, runtime: str) -> None:
    places = ["--artifacts", str(folders.bench.artifacts)]
    arguments = ["latency", "--self-check", "--limit", "20", "--runtime", runtime, "--only", ID, *places]
    group.main(arguments, standalone_mode=False)


@pytest.mark.slow
def test_the_same_artifact_twice_is_equal_and_a_tenth_more_work_is_found(folders, entrants, capsys):
    entrants(name := folders.runtime("steady", SPINS))
    self_check(folders, name)
    assert "A/A: no difference; A/B with 10 % more work: slower" in capsys.readouterr().out


@pytest.mark.slow
def test_a_method_that_sees_differences_between_equals_fails_its_check(folders, entrants, tmp_path):
    """Each process of this runtime is slower than the one before."""
    counter = f"""
with open({str(tmp_path / "processes")!r}, "a+") as file:
    file.write("x")
    file.seek(0)
    spin_s = 2e-4 * 1.2 ** len(file.read())

def answer(logits):
    end = time.perf_counter() + spin_s
    while time.perf_counter() < end: pass
    return logits
"""
    entrants(name := folders.runtime("slower", counter))
    with pytest.raises(EdgewiseError, match="A/A says 'slower'"):
        self_check(folders, name)


@pytest.mark.needs("cc")
def test_the_peak_is_that_of_a_processor(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path))
    roofs = roofline.measure()
    float32 = roofs["float32"].macs_per_s
    assert 1e9 < float32 < 1e12
    assert roofs.get("int8", roofs["float32"]).macs_per_s >= float32 * 0.9
    assert roofs["float32"].share(macs=int(float32 / 1_000), inference_ns=2e6) == pytest.approx(0.5, rel=1e-3)


def test_every_scheme_is_under_a_roof():
    assert {name: roofline.dtype(name) for name in ("float32", "float16", "int8", "int16x8")} == {
        "float32": "float32",
        "float16": "float32",
        "int8": "int8",
        "int16x8": "int8",
    }
