"""Interleaved runs of fake runtimes, and the roof that a processor has."""

from itertools import pairwise

import numpy as np
import pytest

from device_tests.cells import cells, select
from device_tests.devices import desktop
from device_tests.measure import roofline, rounds
from device_tests.results.latency import Series
from device_tests.schedule import Closed
from tests.device_tests.conftest import ID, raises

# 0.3 ms per inference
SPINS = """
def answer(logits):
    end = time.perf_counter() + 3e-4
    while time.perf_counter() < end: pass
    return logits
"""


@pytest.fixture
def measure(folders):
    """Return a function that times the artifact on runtimes in turns, and returns the series by runtime."""

    def timed(*runtimes: str, limit_s: float = 1.0) -> dict[str, Series]:
        able, unable = rounds.entrants(select(cells(), runtimes=runtimes, patterns=(ID,)), folders.bench.artifacts)
        assert not unable
        rng = np.random.default_rng(0)
        every = rounds.measure(able, rng=rng, limit_s=limit_s, report_progress=lambda text: None)
        return {series.id.split("@")[1]: series for series in every}

    return timed


def test_rounds_measure_every_artifact_as_often_and_short_inferences_together(folders, measure):
    timed = measure(folders.runtime("spins", SPINS), folders.runtime("quick"), limit_s=3.0)
    assert len(timed["spins"].rounds_ns) == len(timed["quick"].rounds_ns) >= 2
    for series in timed.values():
        assert (series.outcome, series.threads) == ("ok", 1)
        assert series.timer_share < 0.002  # of the calibration, 0.001
    assert timed["spins"].medians_ns.min() >= 3e5
    assert timed["quick"].inferences > timed["spins"].inferences


def test_what_ends_on_the_way_and_what_nobody_foresaw_is_a_row_and_the_others_go_on(folders, measure, monkeypatch):
    loaded = desktop.Desktop.loaded

    def broken(self, load):
        if load.runtime == "other":
            raise RuntimeError("what cannot be")
        return loaded(self, load)

    monkeypatch.setattr(desktop.Desktop, "loaded", broken)
    crashes = folders.runtime("crashes", "def answer(logits):\n    calls > 500 and os.abort()\n    return logits")
    refuses = folders.runtime("refuses", "def load(path, threads):\n    raise ValueError('does not know the op')")
    timed = measure(crashes, refuses, folders.runtime("other"), folders.runtime("honest"))
    assert {name: (series.outcome, series.reason) for name, series in timed.items()} == {
        "honest": ("ok", ""),
        "refuses": ("unsupported", "ValueError: does not know the op"),
        "crashes": ("run_failed", "killed by SIGABRT while timing"),
        "other": ("run_failed", "unexpected: RuntimeError: what cannot be"),
    }
    assert timed["honest"].rounds_ns
    monkeypatch.setattr(desktop.Desktop, "loaded", raises(Closed()))
    with pytest.raises(Closed):  # an interrupt is no series
        measure("honest")


def test_a_batch_keeps_schemes_of_a_model_and_format_together():
    chosen = select(cells(), runtimes=("litert",), patterns=())
    batches = list(rounds.batches(chosen))
    assert sum(map(len, batches)) == len(chosen)
    families = [{(cell.recipe.model, cell.recipe.format) for cell in batch} for batch in batches]
    assert all(not a & b for a, b in pairwise(families))
    assert len(batches) > 1


@pytest.mark.needs("cc")
def test_the_peak_is_that_of_a_processor_and_every_scheme_is_under_a_roof(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path))
    roofs = roofline.measure()
    float32 = roofs["float32"].macs_per_s
    assert 1e9 < float32 < 1e12
    assert roofs.get("int8", roofs["float32"]).macs_per_s >= float32 * 0.9
    assert roofs["float32"].share(macs=int(float32 / 1_000), inference_ns=2e6) == pytest.approx(0.5, rel=1e-3)
    dtypes = {"float32": "float32", "float16": "float32", "int8": "int8", "int16x8": "int8"}
    assert {name: roofline.dtype(name) for name in dtypes} == dtypes
