"""Which versions of a runtime an artifact can be shipped to."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from device_tests import join
from device_tests.cells import cells, select
from device_tests.commands import compatibility as command
from device_tests.measure import compatibility
from device_tests.results import compatibility as grids
from device_tests.results.compatibility import Grid, Trial
from device_tests.schedule import Closed
from device_tests.transport.dialogue import Conversations
from export import artifact as artifacts
from models.common import environments, records
from models.common.errors import DataError, EdgewiseError
from tests import interpreters
from tests.device_tests.conftest import ID, artifact, measured, raises


def grid(outcomes: dict[str, str]) -> Grid:
    trials = tuple(Trial(version=version, outcome=o, reason="", key=version) for version, o in outcomes.items())
    return Grid(artifact=ID, runtime="fake", artifact_sha256="a", trials=trials)


def test_the_range_says_which_versions_answer_as_they_should():
    newer = dict.fromkeys(("mismatch ok ok", "skipped ok"), "2.0 and newer")
    others = {"ok ok load_failed": "1.0 and newer, but not 3.0", "load_failed mismatch": "none that was tried"}
    for outcomes, summary in (newer | others).items():
        assert grid(dict(zip(("1.0", "2.0", "3.0"), outcomes.split(), strict=False))).summary == summary


def test_versions_are_in_their_own_order_with_the_pinned_one_among_them():
    environments = compatibility.versions("onnxruntime")
    assert list(environments).index("1.18.1") < list(environments).index("1.31.1") < list(environments).index("1.32.0")
    assert environments["1.31.1"] == "onnxruntime"
    assert environments["1.18.1"] == "onnxruntime-1.18.1"


@pytest.fixture
def two_versions(folders, tmp_path, monkeypatch):
    """A runtime of which version 1.0 answers garbage and 2.0, the pinned one, does not."""
    folders.runtime("fake", "def answer(logits):\n    return np.roll(logits, int(os.environ['ROLLED']))")
    (tmp_path / "constraints").mkdir()
    for name, version, rolled in (("fake", "2.0", 0), ("fake-1.0", "1.0", 1)):
        (tmp_path / "constraints" / f"{name}.txt").write_text(f"numpy=={version}\n")
        interpreters.install(folders.environments, name, before=f"export ROLLED={rolled}")
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    return folders


def settle(folders, results, conversations=None) -> Grid:
    (cell,) = (cell for cell in cells() if cell.recipe.id == ID)
    return compatibility.run(cell, folders.bench.artifacts, results, conversations or Conversations())


def test_a_version_that_answers_otherwise_is_found_and_a_hang_is_tried_again(two_versions, tmp_path):
    settled = settle(two_versions, tmp_path)
    assert [trial.outcome for trial in settled.trials] == ["mismatch", "ok"]
    assert settled.trials[0].reason == "0 of 4 golden images are answered as in the sidecar"
    assert settled.summary == "2.0 and newer"
    failed = tuple(replace(trial, outcome="timed_out") for trial in settled.trials)
    records.write(tmp_path / "compatibility" / f"{ID}@fake.json", replace(settled, trials=failed))
    assert settle(two_versions, tmp_path) == settled


def test_an_artifact_without_golden_images_shows_nothing_of_any_version(two_versions, tmp_path):
    artifacts.save(replace(two_versions.artifact, golden=()), two_versions.bench.artifacts)
    settled = settle(two_versions, tmp_path / "results")
    assert {trial.outcome for trial in settled.trials} == {"mismatch"}


def test_what_was_tried_is_not_tried_again_and_what_is_missing_is_said(two_versions, tmp_path):
    old = two_versions.environments / "fake-1.0" / "bin" / "python"
    hidden = old.with_name("hidden")
    old.rename(hidden)
    first = settle(two_versions, tmp_path)
    assert [trial.outcome for trial in first.trials] == ["skipped", "ok"]
    assert "nox -s compatibility" in first.trials[0].reason
    os.truncate(two_versions.environments / "fake" / "bin" / "python", 0)  # it would fail now
    hidden.rename(old)
    assert [trial.outcome for trial in settle(two_versions, tmp_path).trials] == ["mismatch", "ok"]


def test_an_interrupt_says_nothing_about_a_version(two_versions, tmp_path):
    two_versions.runtime("fake", "def load(path, threads):\n    time.sleep(600)")
    conversations = Conversations()
    with ThreadPoolExecutor() as pool:
        future = pool.submit(settle, two_versions, tmp_path / "results", conversations)
        while not conversations.running:
            time.sleep(0.01)
        conversations.stop()
        with pytest.raises(Closed):
            future.result()
    assert not (tmp_path / "results").exists()


def test_a_grid_of_another_file_is_not_told_and_a_broken_one_is_an_error(tmp_path):
    row = measured(artifact_sha256="b" * 64)
    for digest, versions in (("a" * 64, ""), ("b" * 64, "2.0 and newer")):
        stored = replace(grid({"1.0": "mismatch", "2.0": "ok"}), runtime=row.runtime, artifact_sha256=digest)
        grids.save(stored, tmp_path)
        assert join.Added(tmp_path, ()).to(row, artifact(sha256="b" * 64)).oldest_runtime == versions
    id = f"{row.artifact}@{row.runtime}"
    grids.path(tmp_path, id).write_text("{")
    with pytest.raises(DataError, match="nox -s compatibility"):
        grids.read(tmp_path, id)


def test_a_version_and_an_artifact_that_nobody_foresaw_cost_no_other_its_trials(two_versions, tmp_path, monkeypatch):
    unforeseen = RuntimeError("what cannot be")
    monkeypatch.setattr(Conversations, "loaded", raises(unforeseen))
    trials = {(trial.outcome, trial.reason) for trial in settle(two_versions, tmp_path).trials}
    assert trials == {("run_failed", "unexpected: RuntimeError: what cannot be")}

    two_versions.runtime("other")
    chosen, whole = select(cells(), runtimes=(), patterns=(ID,)), grid({"1.0": "ok"})

    def settled(cell):
        return raises(unforeseen)() if cell.runtime == "fake" else whole

    done = command._run_all(chosen, 1, Conversations(), settled)
    assert done == {f"{ID}@fake@desktop": unforeseen, f"{ID}@other@desktop": whole}
    with pytest.raises(EdgewiseError, match=r"1 of 2 artifacts could not be tried:\n.*RuntimeError: what cannot be"):
        command._fail(chosen, [], {"fake": unforeseen})


def test_an_artifact_that_was_not_made_is_not_blamed_on_a_checksum(two_versions, tmp_path):
    facts = {"outcome": "export_failed", "reason": "the tool said no", "file": "", "sha256": ""}
    artifacts.save(replace(two_versions.artifact, **facts), two_versions.bench.artifacts)
    with pytest.raises(DataError, match=r"was not made \(export_failed\): the tool said no"):
        settle(two_versions, tmp_path)
