"""Which results count: what is there, whole, possible, and of the present inputs."""

import json

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current_results
from device_tests.cells import cells
from device_tests.results import measurement as measurements
from device_tests.rows import cells_with_results, load, rows
from export import artifact as artifacts
from models import reference
from models.common import files
from models.common.errors import DataError, UsageError
from tests.device_tests.conftest import ID, MODEL, save_artifact

CELL = f"{ID}@honest@desktop"
ONES = np.ones((784, 10), np.float32)
PACKAGE = "honest/lib/python3/site-packages/newer-2.0.dist-info"


@pytest.fixture(autouse=True)
def _fresh():
    current_results.packages.cache_clear()


@pytest.fixture
def folder(folders):
    folders.row(folders.runtime("honest"))
    return folders


def own_row(folders, id: str = CELL):
    current_results.packages.cache_clear()
    stored = load(folders.bench.results)
    every = rows(cells(), stored, artifacts_folder=folders.bench.artifacts, results_folder=folders.bench.results)
    return next(row for row in every if row.id == id)


def test_a_good_result_counts_unless_its_reference_cannot_be_read_and_other_files_are_no_results(folder):
    files.write_bytes(folder.bench.results / "shipping.json", b"[]")
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.reason) == ("ok", "current", "")
    reference.path(folder.bench.artifacts, MODEL).write_bytes(b"x")
    row = own_row(folder)
    assert (row.outcome, row.evidence) == ("skipped", "unusable")


def test_a_cell_without_a_result_or_an_artifact_is_a_row_that_says_so(folder):
    folder.runtime("other")
    for cell, reason in ((f"{ID}@other", "not run"), (f"{MODEL}-torchscript-int8@honest", "not exported")):
        row = own_row(folder, f"{cell}@desktop")
        assert (row.outcome, row.reason.split(":")[0]) == ("skipped", reason)
    artifacts.save(replace(folder.artifact, outcome="unsupported", reason="no"), folder.bench.artifacts)
    row = own_row(folder, f"{ID}@other@desktop")
    assert (row.outcome, row.reason) == ("unsupported", "no")


def change_sidecar(**change):
    return lambda folder: artifacts.save(replace(folder.artifact, **change), folder.bench.artifacts)


def change_reference(folder):
    file = reference.path(folder.bench.artifacts, MODEL)
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(file, **arrays | {"logits": arrays["logits"] + 1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: save_artifact(folder.bench.artifacts, ONES), "the artifact has changed since"),
        (change_sidecar(checkpoint_sha256="a" * 64), "stale: "),
        (change_sidecar(dataset=artifacts.Dataset(sha256="a" * 64)), "stale: "),
        (
            lambda folder: (folder.environments / PACKAGE).mkdir(parents=True),
            "the runtime's packages has changed since",
        ),
        (lambda folder: folder.runtime("honest", "# changed"), "the runtime's adapter has changed since"),
        (change_reference, "the reference has changed since"),
    ],
    ids=["artifact", "checkpoint", "data set", "packages", "adapter", "reference"],
)
def test_a_result_of_other_inputs_is_stale_and_measured_again(folder, change, reason):
    change(folder)
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.total) == ("skipped", "stale", None)
    assert reason in row.reason
    assert not folder.run(CELL)[CELL].current


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


IMPOSSIBLE = ({"correct": 20_000}, {"total": 1}, {"size_bytes": 1}, {"agree": 0}, {"lost": 9}, {"max_abs_error": None})


@pytest.mark.parametrize(
    ("change", "reason"), [(None, "is no result"), *((change, "its result does not count") for change in IMPOSSIBLE)]
)
def test_a_result_that_is_broken_or_cannot_be_does_not_count_and_the_next_run_repairs_it(folder, change, reason):
    file = measurements.path(folder.bench.results, CELL)
    file.write_text(json.dumps(json.loads(file.read_text()) | change) if change else "{")
    row = own_row(folder)
    assert (row.outcome, row.evidence) == ("skipped", "unusable")
    assert reason in row.reason
    assert "nox -s" in row.reason
    folder.row("honest")
    assert own_row(folder).evidence == "current"


def test_devices_that_there_cannot_be_or_without_results_and_missing_artifacts_are_errors(folder, tmp_path):
    stored = load(folder.bench.results)
    with pytest.raises(UsageError, match="no device called 'nope'"):
        cells_with_results(stored, ("nope",))
    with pytest.raises(DataError, match="There is no result of cortex-a53"):
        cells_with_results(stored, ("cortex-a53",))
    with pytest.raises(DataError, match="no artifacts in"):
        rows(cells(), stored, artifacts_folder=tmp_path / "nowhere", results_folder=folder.bench.results)
