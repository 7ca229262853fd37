"""Which results count: what is there, whole, possible, and of the present inputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current
from device_tests.cells import cells
from device_tests.results import measurement as measurements
from device_tests.results.measurement import save
from device_tests.rows import cells_with_results, load, rows
from export import artifact as artifacts
from export.artifact import Dataset
from models import files, reference
from models.errors import DataError, UsageError
from tests.device_tests.conftest import save_artifact

MODEL = "torch_cnn_small"
ID = f"{MODEL}-torchscript-float32"


@pytest.fixture(autouse=True)
def _fresh():
    current.packages.cache_clear()


@pytest.fixture
def folder(folders):
    """The folders of one good result on the runtime `honest`."""
    folders.row(folders.runtime("honest"))
    return folders


def own_rows(folders):
    stored = load(folders.bench.results)
    return rows(cells(), stored, artifacts_folder=folders.bench.artifacts, results_folder=folders.bench.results)


def own_row(folders):
    current.packages.cache_clear()
    return next(r for r in own_rows(folders) if r.artifact == ID and r.runtime == "honest")


def result_file(folders):
    return measurements.path(folders.bench.results, f"{ID}@honest@desktop")


def test_a_good_result_counts(folder):
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.reason) == ("ok", "current", "")


def test_a_cell_without_a_result_is_a_row_that_says_so(folders):
    honest = folders.runtime("honest")
    folders.row(honest)
    folders.runtime("other")
    reasons = {r.id: (r.outcome, r.reason.split(":")[0]) for r in own_rows(folders)}
    artifact = f"{MODEL}-torchscript"
    assert reasons[f"{artifact}-float32@honest@desktop"] == ("ok", "")
    assert reasons[f"{artifact}-float32@other@desktop"] == ("skipped", "not run")
    assert reasons[f"{artifact}-int8@honest@desktop"] == ("skipped", "not exported")


@pytest.mark.parametrize("change", [{"checkpoint_sha256": "a" * 64}, {"dataset": Dataset(sha256="a" * 64)}], ids=str)
def test_a_result_of_another_checkpoint_or_data_set_does_not_count(folders, change):
    folders.row(folders.runtime("honest"))
    artifact = folders.artifact
    artifacts.save(replace(artifact, **change), folders.bench.artifacts)
    row = next(r for r in own_rows(folders) if r.artifact == f"{MODEL}-torchscript-float32")
    assert (row.outcome, row.reason.split(":")[0], row.total) == ("skipped", "stale", None)


def test_an_artifact_that_was_not_made_needs_no_run_to_be_a_row(folders, measured):
    save(measured(), folders.bench.results)
    folders.runtime("honest")
    artifact = folders.artifact
    artifacts.save(replace(artifact, outcome="unsupported", reason="no"), folders.bench.artifacts)
    row = next(r for r in own_rows(folders) if r.artifact == f"{MODEL}-torchscript-float32")
    assert (row.outcome, row.reason) == ("unsupported", "no")


def test_a_result_of_a_file_that_was_exported_again_is_stale(folder):
    save_artifact(folder.bench.artifacts, np.ones((784, 10), np.float32))
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.total) == ("skipped", "stale", None)
    assert "the artifact has changed since" in row.reason


@pytest.mark.parametrize("harm", ["deleted", "flipped", "sidecar"])
def test_nothing_counts_of_an_artifact_that_is_gone_or_damaged(folder, harm):
    file = folder.bench.artifacts / f"{ID}.pt"
    if harm == "deleted":
        file.unlink()
    elif harm == "flipped":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(bytes(content))
    else:
        artifacts.sidecar_path(folder.bench.artifacts, ID).write_text("{}")
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.total) == ("load_failed", "unusable", None)
    assert f"--only {ID}" in row.reason


@pytest.mark.parametrize(
    "change",
    [{"correct": 20_000}, {"total": 1}, {"size_bytes": 1}, {"agree": 0}, {"lost": 9}, {"max_abs_error": None}],
    ids=str,
)
def test_figures_that_cannot_be_do_not_count_and_the_next_run_repairs_them(folder, change):
    file = result_file(folder)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    row = own_row(folder)
    assert (row.outcome, row.evidence) == ("skipped", "unusable")
    assert "its result does not count" in row.reason
    assert "nox -s" in row.reason
    folder.row("honest")
    assert own_row(folder).evidence == "current"


@pytest.mark.parametrize("content", ["{", "[]", "3", "", '{"artifact": 3}', "[" * 5_000], ids=lambda text: text[:9])
def test_a_broken_result_is_a_row_and_the_next_run_repairs_it(folder, content):
    result_file(folder).write_text(content)
    row = own_row(folder)
    assert (row.outcome, row.evidence) == ("skipped", "unusable")
    assert "is no result" in row.reason
    folder.row("honest")
    assert own_row(folder).evidence == "current"


def test_figures_of_other_packages_of_the_runtime_do_not_count(folder):
    (folder.environments / "honest" / "lib" / "python3" / "site-packages" / "newer-2.0.dist-info").mkdir(parents=True)
    row = own_row(folder)
    assert (row.evidence, row.total) == ("stale", None)
    assert "the runtime's packages has changed since" in row.reason


def test_figures_of_another_adapter_do_not_count(folder):
    adapter = folder.runtimes / "honest.py"
    adapter.write_text(adapter.read_text() + "# changed")
    assert "the runtime's adapter has changed since" in own_row(folder).reason


def test_figures_against_another_reference_do_not_count(folder):
    file = reference.path(folder.bench.artifacts, MODEL)
    reference_set = reference.load(file)
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(file, **arrays | {"logits": reference_set.logits + 1})
    assert "the reference has changed since" in own_row(folder).reason


def test_a_reference_that_cannot_be_read_is_a_reason_not_the_end(folder):
    reference.path(folder.bench.artifacts, MODEL).write_bytes(b"x")
    row = own_row(folder)
    assert (row.outcome, row.evidence) == ("skipped", "unusable")


def test_a_device_that_there_cannot_be_is_an_error_and_one_without_results_says_so(folder):
    stored = load(folder.bench.results)
    with pytest.raises(UsageError, match="no device called 'nope'"):
        cells_with_results(stored, ("nope",))
    with pytest.raises(DataError, match="There is no result of cortex-a53"):
        cells_with_results(stored, ("cortex-a53",))


def test_other_files_in_the_results_folder_are_no_results(folder):
    files.write_bytes(folder.bench.results / "shipping.json", b"[]")
    assert own_row(folder).evidence == "current"


def test_without_artifacts_there_are_no_rows(folder, tmp_path):
    stored = load(folder.bench.results)
    with pytest.raises(DataError, match="no artifacts in"):
        rows(cells(), stored, artifacts_folder=tmp_path / "nowhere", results_folder=folder.bench.results)
