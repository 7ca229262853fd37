"""What `latency` measures in turns and writes: measurements only, never instead of better ones, and never times of garbage."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from device_tests.cells import cells, select
from device_tests.commands import latency
from device_tests.contract import DESKTOP
from device_tests.devices import desktop
from device_tests.measure import roofline, rounds
from device_tests.results import interleaved
from device_tests.results import measurement as measurements
from device_tests.results.latency import Series
from device_tests.schedule import Closed
from models.common.errors import DataError, EdgewiseError, UsageError
from tests.device_tests.conftest import GARBAGE, ID, measured, raises


@pytest.fixture
def file(folders):
    return folders.bench.results / "latency" / f"honest@{DESKTOP}.json"


@pytest.fixture
def type_in(folders, command, file):
    """The command, of the one artifact on the runtime `honest`; it returns what its file holds then."""
    folders.runtime("honest")

    def run(*arguments: str) -> dict:
        command("latency", "--limit", "0.1", "--only", ID, *arguments)
        return json.loads(file.read_text(), parse_constant=pytest.fail)  # no infinity

    return run


def test_samples_are_written_with_what_they_say_and_any_limit_gives_enough_rounds_for_an_interval(type_in, capsys):
    content = type_in("--limit", "2", "--seed", "7")
    assert content["seed"] == 7
    (row,), (raw,) = content["summary"], content["series"]
    assert row["id"] == raw["id"] == f"{ID}@honest@desktop"
    assert row["p50_ns"]["low"] <= row["p50_ns"]["value"] <= row["p50_ns"]["high"]
    assert row["samples"] == sum(map(len, raw["rounds_ns"]))
    assert "p50" in capsys.readouterr().out
    (short,) = type_in("--limit", "0.000001", "--force")["series"]
    assert len(short["rounds_ns"]) == rounds.LEAST


def test_rounds_that_are_current_are_kept_and_never_mixed_with_those_of_another_run(type_in, file, capsys):
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


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_without_artifacts_nothing_is_written(type_in, file, tmp_path, force):
    first = type_in()
    with pytest.raises(DataError, match="There are no artifacts"):
        type_in("--seed", "1", *force, "--artifacts", str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgewiseError, match="honest: nothing could be timed, so nothing was written"):
        type_in("--seed", "1", *force, "--artifacts", str(tmp_path / "empty"))
    assert json.loads(file.read_text()) == first


def test_one_of_several_that_crashes_leaves_the_file_except_by_force(file):
    file.parent.mkdir(parents=True)
    times = {"rounds_ns": [[1, 2], [3, 4]]}
    digest, run = {"artifact_sha256": "1" * 64}, {"seed": 0, "date": "", "roofs": [], "summary": []}
    series = [{"id": "a", **digest, **times}, {"id": "b", **digest, "rounds_ns": []}, {"id": "c", **digest, **times}]
    file.write_text(json.dumps({**run, "series": series}))
    crashed = [Series(id=id, outcome="run_failed", **digest) for id in "abc"]
    assert [s.id for s in latency._lost(file, crashed)] == ["a", "c"]
    assert latency._lost(file, [structs.replace(crashed[0], artifact_sha256="2")]) == []  # another file
    assert latency._lost(file, [structs.replace(crashed[0], outcome="unsupported")]) == []  # a finding
    assert latency._lost(file, [structs.replace(crashed[0], outcome="skipped", artifact_sha256="")])
    assert latency._lost(file.with_name("none.json"), crashed) == []


def test_garbage_is_not_timed_not_reported_and_not_compared_with(folders, type_in, file, capsys):
    folders.runtime("honest", GARBAGE)
    with pytest.raises(EdgewiseError, match="nothing could be timed"):
        type_in()
    assert "mismatch 0 of 4 golden images" in capsys.readouterr().out
    assert not file.exists()
    good = Series(id="a", baseline="b", rounds_ns=((100, 110), (105, 100)), macs=1, roof="float32")
    beside, garbage = latency.summary([good, Series(id="b", outcome="mismatch", reason="1 of 4")], {})
    assert (beside.ratio, garbage.outcome, garbage.rounds) == (None, "mismatch", None)


def test_what_did_not_settle_and_what_was_noted_is_shown_and_kept(folders, type_in, monkeypatch, capsys):
    monkeypatch.setattr(rounds, "STEADY", -1.0)
    monkeypatch.setattr(rounds, "WARM_UP_S", 0.1)
    (series,) = type_in()["series"]
    assert not series["steady"]
    assert latency.UNSETTLED in capsys.readouterr().out
    (timing,) = interleaved.read(folders.bench.results, f"honest@{DESKTOP}")
    assert timing.rounds >= rounds.LEAST


def test_what_a_table_shows_is_no_markup_and_no_escape_sequence(capsys):
    series = Series(id="a[red]\x1b[31m", notes=("[bold]\x1b]0;title\x07note",), rounds_ns=((100, 110), (105, 100)))
    latency.show("times", latency.summary([series], {}), [series])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "a[red]" in shown
    assert "[bold]note" in shown


def test_the_method_is_checked_with_the_fastest_float32(folders, tmp_path, monkeypatch):
    folders.runtime("honest")
    folders.runtime("other")
    own = select(cells(), runtimes=(), patterns=(ID,))
    results = folders.bench.results
    for runtime, ns in (("honest", 2_000), ("other", 1_000)):
        measurements.save(measured(runtime=runtime, latencies_ns=(ns,) * 9), results)
    assert latency._fastest(own, folders.bench.artifacts, results).load.runtime == "other"
    assert latency._fastest(own[:1], folders.bench.artifacts, tmp_path / "none").load.runtime == own[0].runtime
    with pytest.raises(EdgewiseError, match="No cell is chosen"):
        latency._fastest((), folders.bench.artifacts, results)
    # without results the least work is taken for the fastest; 0: not known
    (one, *_), _ = rounds.entrants(own, folders.bench.artifacts)
    every = [replace(one, id=f"{macs}", macs=macs) for macs in (500, 0, 20, 300)]
    monkeypatch.setattr(rounds, "entrants", lambda chosen, folder: (every, []))
    assert latency._fastest(own, tmp_path, tmp_path).macs == 20


# Works for 0.3 ms, times a factor by how many processes began before.
SPINS = """
with open({processes!r}, "a+") as file:
    file.write("x")
    file.seek(0)
    spin_s = 3e-4 * {factor} ** len(file.read())

def answer(logits):
    end = time.perf_counter() + spin_s
    while time.perf_counter() < end: pass
    return logits
"""


@pytest.mark.slow
def test_a_tenth_more_work_is_found_and_a_method_that_tells_equals_apart_fails(folders, command, tmp_path, capsys):
    def check(factor: float) -> None:
        name = folders.runtime("spins", SPINS.format(processes=str(tmp_path / f"{factor}"), factor=factor))
        command("latency", "--self-check", "--limit", "20", "--runtime", name, "--only", ID)

    check(1.0)
    assert "A/A: no difference; A/B with 10 % more work: slower" in capsys.readouterr().out
    with pytest.raises(EdgewiseError, match="A/A says 'slower'"):
        check(1.2)


def measure(folder: Path, *runtimes: str, limit_s: float = 1.0) -> dict[str, Series]:
    """Time the artifact on runtimes in turns; return the series by runtime."""
    able, unable = rounds.entrants(select(cells(), runtimes=runtimes, patterns=(ID,)), folder)
    assert not unable
    rng = np.random.default_rng(0)
    every = rounds.measure(able, rng=rng, limit_s=limit_s, report_progress=lambda text: None)
    return {series.id.split("@")[1]: series for series in every}


def test_rounds_measure_every_artifact_as_often_and_short_inferences_together(folders, tmp_path):
    spins = folders.runtime("spins", SPINS.format(processes=str(tmp_path / "processes"), factor=1.0))
    timed = measure(folders.bench.artifacts, spins, folders.runtime("quick"), limit_s=3.0)
    assert len(timed["spins"].rounds_ns) == len(timed["quick"].rounds_ns) >= 2
    for series in timed.values():
        assert (series.outcome, series.threads) == ("ok", 1)
        assert series.timer_share < 0.002  # of the calibration, 0.001
    assert timed["spins"].medians_ns.min() >= 3e5
    assert timed["quick"].inferences > timed["spins"].inferences


def test_what_ends_on_the_way_and_what_nobody_foresaw_is_a_row_and_the_others_go_on(folders, monkeypatch):
    loaded = desktop.Desktop.loaded

    def broken(self, load):
        if load.runtime == "other":
            raise RuntimeError("what cannot be")
        return loaded(self, load)

    monkeypatch.setattr(desktop.Desktop, "loaded", broken)
    crashes = folders.runtime("crashes", "def answer(logits):\n    calls > 500 and os.abort()\n    return logits")
    refuses = folders.runtime("refuses", "def load(path, threads):\n    raise ValueError('does not know the op')")
    others = (folders.runtime(name) for name in ("other", "honest"))
    timed = measure(folders.bench.artifacts, crashes, refuses, *others)
    assert {name: (series.outcome, series.reason) for name, series in timed.items()} == {
        "honest": ("ok", ""),
        "refuses": ("unsupported", "ValueError: does not know the op"),
        "crashes": ("run_failed", "killed by SIGABRT while timing"),
        "other": ("run_failed", "unexpected: RuntimeError: what cannot be"),
    }
    assert timed["honest"].rounds_ns
    monkeypatch.setattr(desktop.Desktop, "loaded", raises(Closed()))
    with pytest.raises(Closed):  # an interrupt is no series
        measure(folders.bench.artifacts, "honest")


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
