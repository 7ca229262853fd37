"""What the web demo saved becomes results, unless anything about it is wrong."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from device_tests.measure import import_results as browsers
from device_tests.onboard.worker import packed
from device_tests.report import notes
from device_tests.report.groups import group
from device_tests.results import measurement as measurements
from device_tests.results.row import Row
from export import artifact as artifacts
from models import reference
from models.common.errors import DataError
from tests.device_tests.conftest import MODEL, joined, save_tflite, type_in

ID = f"{MODEL}-tflite-int8"
IMAGES, JUDGED = 100, 50


@pytest.fixture
def folder(tmp_path) -> Path:
    save_tflite(tmp_path / "artifacts", IMAGES)
    return tmp_path / "artifacts"


@pytest.fixture
def logits(folder) -> np.ndarray:
    """What the browser answered: as the source, but for one image."""
    copied = reference.load(reference.path(folder, MODEL)).logits[:JUDGED].copy()
    copied[7] = np.roll(copied[7], 1)
    return copied


@pytest.fixture
def saved(tmp_path, folder, logits):
    """Return a function that writes a file as the page saves it, with one result changed, and gives its path."""

    def save(*, without: str = "", **changes) -> Path:
        row = {"artifact": ID, "runtime": "litertjs", "device": "browser:pixel-7", "outcome": "ok", "reason": "",
               "notes": ["a note"], "environment": {"cpu": "unknown", "cpus": 8, "os": "android"}, "threads": 1,
               "artifact_sha256": artifacts.read(artifacts.sidecar_path(folder, ID)).sha256,
               "total": JUDGED, "correct": JUDGED - 1, "agree": JUDGED - 1,
               "load_ns": 10**6, "first_ns": 0, "latencies_ns": [100_000, 120_000], "answers": packed(logits)}  # fmt: skip
        row |= changes
        row.pop(without, None)
        file = tmp_path / "saved.json"
        file.write_text(json.dumps([row]))
        return file

    return save


def imported(folder: Path, *arguments: object, device: str) -> Row:
    """Type a command for a file; return the row of the artifact on a device then."""
    results = folder.with_name("results")
    assert type_in(*arguments, "--artifacts", folder, "--results", results) == 0
    (only,) = (row for row in joined(folder, results, device) if row.artifact == ID)
    return only


def test_what_a_browser_saved_is_a_row_of_the_report(saved, folder, logits, tmp_path):
    row = imported(folder, "add", saved(), device="browser:pixel-7")
    id = f"{ID}@litertjs@browser:pixel-7"
    assert np.array_equal(np.load(measurements.logits_path(tmp_path / "results", id)), logits)
    assert (row.id, row.outcome, row.total, row.correct, row.lost) == (id, "ok", JUDGED, JUDGED - 1, 1)
    assert [flip.index for flip in row.flips] == [7]
    assert row.p50_ns == 110_000
    assert row.quick
    assert any("browser:pixel-7" in line for line in notes.footnotes(group((row,), 0.1)))


def test_what_the_android_app_shared_is_a_current_row_but_for_times_of_an_emulator(saved, folder):
    phone = {"cpu": "a chip", "cpus": 8, "os": "Android 14", "fingerprint": "f", "build": "b", "kind": "device"}
    shared = partial(saved, runtime="litert", environment=phone)
    row = imported(folder, "run", "--import", shared(device="app:pixel-7"), device="app:pixel-7")
    assert (row.outcome, row.evidence, row.correct, row.p50_ns) == ("ok", "current", JUDGED - 1, 110_000)
    ((row, _),) = browsers.read(shared(device="app:pixel-7+t4+no_xnnpack", threads=4), folder)
    assert (row.device, row.threads) == ("app:pixel-7+t4+no_xnnpack", 4)
    ((row, _),) = browsers.read(shared(device="app:pixel-7", environment={"kind": "emulator"}), folder)
    assert (row.latencies_ns, row.load_ns) == ((), None)
    assert "times of an emulator" in row.notes[-1]


def test_what_was_not_measured_is_a_row_with_its_reason_and_garbage_a_mismatch(saved, folder, logits):
    reasons = {"load_failed": "no SIMD", "run_failed": "the page was not in front all the time"}
    for outcome, reason in reasons.items():
        ((row, logits_of_none),) = browsers.read(saved(outcome=outcome, reason=reason, without="answers"), folder)
        assert (row.outcome, row.reason, row.total, logits_of_none) == (outcome, reason, None, None)
    rolled = np.roll(logits, 1, axis=1)
    right = int((rolled.argmax(1) == reference.load(reference.path(folder, MODEL)).labels[:JUDGED]).sum())
    ((row, _),) = browsers.read(saved(answers=packed(rolled), correct=right, agree=right), folder)
    assert row.outcome == "mismatch"


APP = {"runtime": "litert", "device": "app:pixel-7"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifact_sha256": "b" * 64}, "exported again since"),
        ({"artifact": "torch_cnn_small-tflite-int9"}, "Did you mean torch_cnn_small-tflite-int8"),
        ({"artifact": "../../etc/passwd"}, "no artifact"),
        ({"runtime": "onnxruntime_web"}, "which it does not"),
        ({"runtime": ""}, "which it does not"),
        (APP | {"runtime": "litertjs"}, "which it does not"),
        (APP | {"runtime": "onnxruntime"}, "which it does not"),
        (APP | {"device": "app:pixel-7+t3"}, "app:"),
        (APP | {"device": "app:"}, "app:"),
        ({"device": "desktop"}, "browser:"),
        ({"device": "browser:fox\n"}, "browser:"),
        ({"device": "browser:../up"}, "browser:"),
        ({"outcome": "great"}, "Invalid enum value 'great'"),
        ({"correct": JUDGED}, "changed by hand"),
        ({"total": "many"}, "got `str` - at `.*total`"),
        ({"correct": True}, "got `bool` - at `.*correct`"),
        ({"latencies_ns": []}, "has no latencies_ns"),
        ({"answers": "é"}, "cannot be unpacked"),
        ({"answers": packed(np.zeros((IMAGES + 1, 10)))}, "no logits of 1 to 100 images"),
        ({"answers": packed(np.zeros((0, 10)))}, "no logits of 1 to 100 images"),
        ({"without": "environment"}, "missing required field `environment`"),
        ({"without": "answers"}, "has no answers"),
    ],
    ids=str,
)
def test_a_wrong_result_is_refused(saved, folder, changes, message):
    with pytest.raises(DataError, match=message):
        browsers.read(saved(**changes), folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", "[1]", "\\0"])
def test_a_foreign_file_is_refused_and_a_missing_one_told_how_to_come_by(tmp_path, folder, content):
    file = tmp_path / "foreign.json"
    with pytest.raises(DataError, match="Save it in the web demo"):
        browsers.read(file, folder)
    file.write_text(content)
    with pytest.raises(DataError, match="no file that the web demo or the Android app saved"):
        browsers.read(file, folder)


def test_a_result_that_is_there_twice_is_refused_and_nothing_is_added(saved, folder, tmp_path):
    file, results = saved(), tmp_path / "results"
    file.write_text(json.dumps(json.loads(file.read_text()) * 2))
    with pytest.raises(DataError, match="is in it twice"):
        type_in("add", file, "--artifacts", folder, "--results", results)
    assert not results.exists()
