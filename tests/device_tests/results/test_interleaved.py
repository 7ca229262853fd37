"""What a report reads of an interleaved run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from device_tests.commands.latency import summary
from device_tests.measure.roofline import Roof
from device_tests.results import interleaved
from device_tests.results.latency import NARROW, Interval, Series
from device_tests.results.measurement import Environment
from models import files
from models.errors import DataError

NAME = "torch@desktop"
ROOFS = {"float32": Roof(dtype="float32", macs_per_s=1e9, with_="a unit")}


def series(id: str, ns: int, **facts) -> Series:
    return Series(id=id, rounds_ns=((ns,) * 40,) * 20, artifact_sha256="a" * 64, environment={"cpu": "a CPU"}, **facts)


@pytest.fixture
def results(tmp_path):
    """A folder with a run of two artifacts and of one that could not be loaded."""
    every = [series("float", 1_000, macs=100, roof="float32"), series("int8", 500, baseline="float"),
             Series(id="broken", outcome="load_failed", reason="no")]  # fmt: skip
    run = {"seed": 3, "date": "2026-01-02", "roofs": [vars(roof) for roof in ROOFS.values()]}
    origins = [{"id": s.id, "artifact_sha256": s.artifact_sha256, "environment": s.environment} for s in every]
    file = tmp_path / "latency" / f"{NAME}.json"
    files.write_json(file, {**run, "series": origins, "summary": summary(every, ROOFS)})
    return tmp_path


def test_what_was_timed_is_read_with_its_intervals(results):
    source, quantized = interleaved.read(results, NAME)
    assert (source.id, source.ratio) == ("float", None)
    assert (source.roof_share, source.roof_macs_per_s) == (pytest.approx(0.1), 1e9)
    assert quantized.p50_ns == Interval(value=500, low=500, high=500)
    assert (quantized.ratio.verdict, quantized.rounds, quantized.samples, quantized.seed) == ("faster", 20, 800, 3)
    assert quantized.environment == Environment(cpu="a CPU")


def test_too_few_samples_give_no_tail_and_a_wide_median_is_noisy(results):
    source, quantized = interleaved.read(results, NAME)
    assert quantized.p99_ns is None
    assert not quantized.noisy
    wide = Interval(value=100, low=100, high=100 * (1 + 2 * NARROW))
    assert replace(source, p50_ns=wide).noisy


def test_a_runtime_that_was_not_timed_has_nothing_and_a_broken_run_is_said(results):
    assert interleaved.read(results, "litert@desktop") == ()
    (results / "latency" / f"{NAME}.json").write_text("{}")
    with pytest.raises(DataError, match="Delete it and run: nox -s latency"):
        interleaved.read(results, NAME)
