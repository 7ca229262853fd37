"""Which results count: what is there, whole, possible, and of the present inputs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current_results
from device_tests.results import measurement as measurements
from device_tests.rows import cells_with_results, load
from export import artifact as artifacts
from models import reference
from models.common import files
from models.common.errors import UsageError
from tests.device_tests.conftest import ID, MODEL, joined, save_artifact

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
    return next(row for row in joined(folders.bench.artifacts, folders.bench.results) if row.id == id)


def test_a_good_result_counts_unless_its_reference_cannot_be_read_and_other_files_are_no_results(folder):
    files.write_bytes(folder.bench.results / "shipping.json", b"[]")
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.reason) == ("ok", "current", "")
    reference.path(folder.bench.artifacts, MODEL).write_bytes(b"x")
    row = own_row(folder)
    assert (row.outcome, row.evidence) == ("skipped", "unusable")


def test_a_cell_without_a_result_or_an_artifact_is_a_row_that_says_so_and_no_device_an_error(folder):
    folder.runtime("other")
    for cell, reason in ((f"{ID}@other", "not run"), (f"{MODEL}-torchscript-int8@honest", "not exported")):
        row = own_row(folder, f"{cell}@desktop")
        assert (row.outcome, row.reason.split(":")[0]) == ("skipped", reason)
    artifacts.save(replace(folder.artifact, outcome="unsupported", reason="no"), folder.bench.artifacts)
    row = own_row(folder, f"{ID}@other@desktop")
    assert (row.outcome, row.reason) == ("unsupported", "no")
    with pytest.raises(UsageError, match="no device called 'nope'"):
        cells_with_results(load(folder.bench.results), ("nope",))


def change_sidecar(**change):
    return lambda folder: artifacts.save(replace(folder.artifact, **change), folder.bench.artifacts)


def change_reference(folder):
    file = reference.path(folder.bench.artifacts, MODEL)
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(file, **arrays | {"logits": arrays["logits"] + 1})


def file_of(folder) -> Path:
    return folder.bench.artifacts / f"{ID}.pt"


def flip(folder) -> None:
    content = file_of(folder).read_bytes()
    file_of(folder).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


STALE, BROKEN, AGAIN = ("skipped", "stale"), ("load_failed", "unusable"), f"--only {ID}"
# what is done, what becomes of the row and why, and how the next run ends
CHANGES = {
    "artifact": (lambda f: save_artifact(f.bench.artifacts, ONES), STALE, "the artifact has changed", "mismatch"),
    "checkpoint": (change_sidecar(checkpoint_sha256="a" * 64), STALE, "stale: ", "load_failed: .*another checkpoint"),
    "data set": (change_sidecar(dataset=artifacts.Dataset(sha256="a" * 64)), STALE, "stale: ", "load_failed"),
    "packages": (lambda f: (f.environments / PACKAGE).mkdir(parents=True), STALE, "'s packages has changed", "ok"),
    "adapter": (lambda f: f.runtime("honest", "# changed"), STALE, "the runtime's adapter has changed", "ok"),
    "reference": (change_reference, STALE, "the reference has changed since", "ok|mismatch"),
    "deleted": (lambda f: file_of(f).unlink(), BROKEN, AGAIN, "load_failed"),
    "flipped": (flip, BROKEN, AGAIN, "load_failed: .*does not match its sidecar"),
    "name": (change_sidecar(file="x" * 300), BROKEN, "File name too long", "run_failed: .*File name too long"),
    "sidecar": (lambda f: file_of(f).with_suffix(".json").write_text("{"), BROKEN, AGAIN, "load_failed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_result_of_other_inputs_or_of_an_artifact_that_is_gone_or_damaged_does_not_count(folder, name):
    change, becomes, reason, then = CHANGES[name]
    change(folder)
    row = own_row(folder)
    assert (row.outcome, row.evidence, row.total) == (*becomes, None)
    assert reason in row.reason
    end = folder.run(CELL)[CELL]
    assert not end.current
    assert re.match(then, f"{end.measurement.outcome}: {end.measurement.reason}")


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


@pytest.mark.parametrize("cell", ["honest@cortex-a76", "litertjs@browser:firefox"])
def test_a_device_whose_only_result_is_broken_still_has_its_row(folder, cell):
    measurements.path(folder.bench.results, f"{ID}@{cell}").write_text("{")
    measurements.path(folder.bench.results, f"{ID}@honest@desktop (copy)").write_text("{")
    rows = joined(folder.bench.artifacts, folder.bench.results)
    assert {row.device for row in rows} == {"desktop", cell.partition("@")[2]}
    assert {row.id: row.evidence for row in rows}[f"{ID}@{cell}"] == "unusable"
