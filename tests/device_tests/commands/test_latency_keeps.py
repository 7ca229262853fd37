"""What `latency` writes: measurements only, never instead of better ones, and never times of garbage."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from device_tests.__main__ import group
from device_tests.cells import cells, select
from device_tests.commands import latency as command
from device_tests.commands import latency_table
from device_tests.contract import DESKTOP
from device_tests.devices import desktop
from device_tests.measure import rounds
from device_tests.results import interleaved
from device_tests.results import measurement as measurements
from device_tests.results.latency import Series
from device_tests.schedule import Closed
from models.errors import DataError, EdgewiseError
from tests.device_tests.conftest import save_artifact

ID = "torch_cnn_small-torchscript-float32"
GOLDEN = ({"image_u8": base64.b64encode(bytes(range(196)) * 4).decode(), "logits": [0.0] * 10},)
MOODY = """
def load(path, threads, load=load):
    if os.path.exists({flag!r}):
        os.abort()
    return load(path, threads)
"""


@pytest.fixture
def honest(folders) -> str:
    """A runtime that answers the artifact's golden image as the sidecar says."""
    save_artifact(folders.bench.artifacts, np.zeros((784, 10), np.float32), golden=GOLDEN)
    return folders.runtime("honest")


@pytest.fixture
def type_in(folders):
    """Return a function that types the command, and returns what its file holds then."""

    def run(*arguments: str, artifacts=None) -> dict:
        places = ("--artifacts", str(artifacts or folders.bench.artifacts), "--results", str(folders.bench.results))
        group.main(["latency", "--limit", "0.1", "--only", ID, *places, *arguments], standalone_mode=False)
        return json.loads(file(folders).read_text())

    return run


def file(folders):
    return folders.bench.results / "latency" / f"honest@{DESKTOP}.json"


def test_any_limit_gives_enough_rounds_for_an_interval(folders, honest, type_in):
    (series,) = type_in("--limit", "0.000001")["series"]
    assert len(series["rounds_ns"]) == rounds.LEAST
    json.loads(file(folders).read_text(), parse_constant=pytest.fail)  # no infinity


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_without_artifacts_nothing_is_written(folders, honest, type_in, tmp_path, force):
    first = type_in()
    with pytest.raises(DataError, match="There are no artifacts"):
        type_in("--seed", "1", *force, artifacts=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgewiseError, match="honest: nothing could be timed, so nothing was written"):
        type_in("--seed", "1", *force, artifacts=tmp_path / "empty")
    assert json.loads(file(folders).read_text()) == first


def test_an_artifact_that_crashes_now_costs_no_times_that_it_had(folders, honest, type_in, tmp_path):
    flag = tmp_path / "flag"
    folders.runtime(honest, MOODY.format(flag=str(flag)))
    first = type_in()
    flag.touch()
    with pytest.raises(EdgewiseError, match="nothing could be timed"):
        type_in("--seed", "1")
    assert json.loads(file(folders).read_text()) == first


def test_one_of_several_that_crashes_leaves_the_file_except_by_force(folders, honest):
    folder = folders.bench.results / "latency"
    folder.mkdir(parents=True)
    times = {"rounds_ns": [[1, 2], [3, 4]]}
    series = [{"id": "a", "artifact_sha256": "1", **times}, {"id": "b", "artifact_sha256": "1", "rounds_ns": []}]
    file(folders).write_text(json.dumps({"series": [*series, {"id": "c", "artifact_sha256": "1", **times}]}))
    crashed = [Series(id=id, outcome="run_failed", artifact_sha256="1") for id in "abc"]
    assert [s.id for s in command._lost(file(folders), crashed)] == ["a", "c"]
    assert command._lost(file(folders), [replace(crashed[0], artifact_sha256="2")]) == []  # another file
    assert command._lost(file(folders), [replace(crashed[0], outcome="unsupported")]) == []  # a finding
    assert command._lost(file(folders), [replace(crashed[0], outcome="skipped", artifact_sha256="")])
    assert command._lost(folder / "none.json", crashed) == []


def test_garbage_is_not_timed_not_compared_and_not_reported(folders, honest, type_in, capsys):
    golden = ({**GOLDEN[0], "logits": [0.0] * 9 + [1.0]},)
    save_artifact(folders.bench.artifacts, np.zeros((784, 10), np.float32), golden=golden)
    with pytest.raises(EdgewiseError, match="nothing could be timed"):
        type_in()
    assert "mismatch 0 of 1 golden images" in capsys.readouterr().out
    assert not file(folders).exists()


def test_a_row_beside_garbage_has_no_ratio(folders):
    good = Series(id="a", baseline="b", rounds_ns=((100, 110), (105, 100)), macs=1, roof="float32")
    rows = command.summary([good, Series(id="b", outcome="mismatch", reason="1 of 4")], {})
    assert rows[0]["ratio"] is None
    assert (rows[1]["outcome"], "rounds" in rows[1]) == ("mismatch", False)


def test_what_did_not_settle_and_what_was_noted_is_shown_and_kept(folders, honest, type_in, monkeypatch, capsys):
    monkeypatch.setattr(rounds, "STEADY", -1.0)
    monkeypatch.setattr(rounds, "WARM_UP_S", 0.1)
    (series,) = type_in()["series"]
    assert not series["steady"]
    assert latency_table.UNSETTLED in capsys.readouterr().out
    (timing,) = interleaved.read(folders.bench.results, f"honest@{DESKTOP}")
    assert timing.rounds >= rounds.LEAST


def test_what_a_table_shows_is_no_markup_and_no_escape_sequence(capsys):
    series = Series(id="a[red]\x1b[31m", notes=("[bold]\x1b]0;title\x07note",), rounds_ns=((100, 110), (105, 100)))
    latency_table.show("times", command.summary([series], {}), [series])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "a[red]" in shown
    assert "[bold]note" in shown


@pytest.fixture
def entrants(folders, honest):
    chosen = select(cells(), runtimes=(), patterns=(ID,))

    def make(*names: str) -> list[rounds.Entrant]:
        own = tuple(cell for cell in select(cells(), runtimes=names, patterns=(ID,)))
        able, unable = rounds.entrants(own, folders.bench.artifacts)
        assert not unable
        return able

    assert chosen
    return make


def measure(taking_part):
    every = rounds.measure(taking_part, rng=np.random.default_rng(0), limit_s=0.1, report_progress=lambda text: None)
    return {series.id.split("@")[1]: series for series in every}


def test_what_nobody_foresaw_is_a_series_and_the_others_go_on(folders, entrants, monkeypatch):
    loaded = desktop.Desktop.loaded

    def broken(self, load):
        if load.runtime == "other":
            raise RuntimeError("what cannot be")
        return loaded(self, load)

    monkeypatch.setattr(desktop.Desktop, "loaded", broken)
    series = measure(entrants("honest", folders.runtime("other")))
    assert (series["other"].outcome, series["other"].reason) == (
        "run_failed",
        "unexpected: RuntimeError: what cannot be",
    )
    assert series["honest"].rounds_ns


def test_an_interrupt_is_no_series(entrants, monkeypatch):
    def closed(self, load):
        raise Closed

    monkeypatch.setattr(desktop.Desktop, "loaded", closed)
    with pytest.raises(Closed):
        measure(entrants("honest"))


def test_the_method_is_checked_with_the_fastest_float32(folders, honest, measured, tmp_path):
    folders.runtime("other")
    own = select(cells(), runtimes=(), patterns=(ID,))
    results = folders.bench.results
    for runtime, ns in (("honest", 2_000), ("other", 1_000)):
        measurements.save(measured(runtime=runtime, latencies_ns=(ns,) * 9), results)
    assert command._fastest(own, folders.bench.artifacts, results).load.runtime == "other"
    assert command._fastest(own[:1], folders.bench.artifacts, tmp_path / "none").load.runtime == own[0].runtime
    with pytest.raises(EdgewiseError, match="No cell is chosen"):
        command._fastest((), folders.bench.artifacts, results)


def test_without_results_the_least_work_is_taken_for_the_fastest(monkeypatch, tmp_path, entrants):
    (one,) = entrants("honest")
    every = [replace(one, id=f"{macs}", macs=macs) for macs in (500, 0, 20, 300)]  # 0: not known
    monkeypatch.setattr(rounds, "entrants", lambda chosen, folder: (every, []))
    own = select(cells(), runtimes=(), patterns=(ID,))
    assert command._fastest(own, tmp_path, tmp_path).macs == 20
