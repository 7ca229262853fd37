"""Statistics against published examples and simulation; results that are read back, and compared with the desktop's to the last bit."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests.results import measurement as measurements
from device_tests.results import parity
from device_tests.results.row import Row
from device_tests.rows import as_row
from models.common.errors import DataError, StorageError
from tests.device_tests.conftest import measured

# of Fagerland, Lydersen and Laake 2013, https://doi.org/10.1186/1471-2288-13-91: 1 and 7 of 21 pairs differ
PAIRS = {"total": 21, "lost": 1, "gained": 7, "correct": 10, "agree": 13}
FIGURES = ("top1", "top1_interval", "top1_loss", "top1_loss_bound", "mcnemar_p", "flip_rate", "agreement")


@pytest.mark.parametrize(
    ("facts", "figure", "expected"),
    [
        (PAIRS, "mcnemar_p", pytest.approx(0.0703, abs=1e-4)),
        ({"lost": 0, "gained": 0}, "mcnemar_p", 1.0),
        ({"correct": 9_953}, "top1_interval", pytest.approx((0.99376, 0.99646), abs=1e-5)),  # Wilson's
        # that none of these images is lost does not prove that none ever is
        ({"total": 1_000}, "top1_loss_bound", pytest.approx(0.00225, abs=0.00025)),
        ({"total": 10_000}, "top1_loss_bound", pytest.approx(0.000225, abs=0.000025)),
        *(({"total": None}, figure, None) for figure in FIGURES),
    ],
)
def test_a_statistic_is_that_of_the_books_and_there_is_none_of_what_was_not_judged(facts, figure, expected):
    assert getattr(measured(**facts), figure) == expected


def test_the_bound_holds_the_true_loss_in_nineteen_of_twenty_samples():
    """Of networks that truly lose 0.3 points, 1,000 images at a time."""
    rng = np.random.default_rng(0)
    lost, gained, _ = rng.multinomial(1_000, (0.006, 0.003, 0.991), size=2_000).T
    pairs = zip(lost.tolist(), gained.tolist(), strict=True)
    bounds = [measured(total=1_000, lost=lost, gained=gained).top1_loss_bound for lost, gained in pairs]
    assert 0.94 <= np.mean(np.array(bounds) > 0.003) <= 0.985


@pytest.mark.parametrize("device", ["desktop", "browser:../../etc/x"])
def test_a_result_is_read_as_it_was_written_and_stays_in_its_folder(tmp_path, device):
    flip = {"index": 3, "label": 1, "ours": 7, "theirs": 1, "our_margin": 0.1, "their_margin": 0.2}
    row = measured(flips=(flip,), agree=9_999, device=device)
    measurements.save(row, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file == measurements.path(tmp_path, row.id)
    assert as_row(measurements.read(file)) == row


@pytest.mark.parametrize(
    "facts",
    [
        {"correct": 20_000}, {"agree": 20_000}, {"total": 1}, {"lost": 5}, {"gained": 5, "agree": 9_999}, {"total": None},
        {"max_abs_error": None}, {"size_bytes": None}, {"agree": 9_999},
        {"peak_rss_bytes": 1, "baseline_rss_bytes": 2},
    ],
    ids=str,
)  # fmt: skip
def test_figures_that_contradict_each_other_are_impossible(facts):
    assert not measured().impossible
    assert measured(**facts).impossible


@pytest.mark.parametrize(
    "change",
    [
        ("correct", "NaN"), ("correct", "1.5"), ("correct", "-1"), ("correct", "true"), ("max_abs_error", "NaN"),
        ("max_abs_error", "1e999"), ("max_abs_error", "-1"), ("ece", "2"), ("latencies_ns", "[0]"), ("latencies_ns", "3"),
        ("environment", '{"date": "yesterday"}'), ("environment", '{"runtime": "str"}'), ("environment", "[]"),
        ("dataset", '{"sha256": "x"}'), ("outcome", '"great"'), ("flips", "[3]"), ("sets", '{"digits": {"total": 1}}'),
        ("notes", '[' * 3_000),
    ],
    ids=str,
)  # fmt: skip
def test_a_result_of_wrong_types_is_one_sentence(tmp_path, change):
    row = measured()
    measurements.save(row, tmp_path)
    file = measurements.path(tmp_path, row.id)
    fields = {**json.loads(file.read_text()), change[0]: "HERE"}
    file.write_text(json.dumps(fields).replace('"HERE"', change[1]))
    with pytest.raises(DataError, match="is no result"):
        measurements.read(file)


LOGITS = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)


def keep(folder: Path, logits: np.ndarray = LOGITS, **facts) -> Row:
    row = measured(**facts)
    measurements.save(row, folder)
    parity.save(folder, row.id, logits.astype("<f4"))
    return row


def test_equal_logits_are_the_same_on_every_image_also_in_a_browser_with_the_runtime_of_the_same_files(tmp_path):
    keep(tmp_path, runtime="litert")
    row = keep(tmp_path, LOGITS[:20], runtime="litert", device="cortex-a53")
    facts = parity.compare(row, tmp_path)
    assert facts == {"compared": 20, "same": 20, "difference": 0.0, "first_other": None}
    assert replace(row, **facts).same_as_desktop == 1.0
    assert parity.compare(keep(tmp_path, runtime="litertjs", device="browser:fox"), tmp_path)["same"] == 50
    assert (
        parity.compare(keep(tmp_path, runtime="litert"), tmp_path) == {}
    )  # neither the desktop itself nor another artifact
    assert parity.compare(keep(tmp_path, artifact_sha256="b" * 64, device="cortex-a53"), tmp_path) == {}


def test_one_other_bit_is_found_with_its_image_and_broken_logits_are_an_error_that_says_what_to_do(tmp_path):
    keep(tmp_path)
    other = LOGITS.copy()
    other[7, 3] = np.nextafter(other[7, 3], np.float32(100))
    row = keep(tmp_path, other, device="cortex-a53")
    facts = parity.compare(row, tmp_path)
    assert (facts["same"], facts["first_other"]) == (49, 7)
    assert 0 < facts["difference"] < 1e-6
    file = measurements.logits_path(tmp_path, row.id)
    file.write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="run the cell again"):
        parity.compare(row, tmp_path)
    parity.save(tmp_path, row.id, None)  # a run that gives no logits removes the earlier ones
    assert not file.exists()


def test_logits_for_which_there_is_no_room_are_an_error_of_the_disk_and_leave_none(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(StorageError, match="Cannot write .*npy"):
            parity.save(tmp_path, "x@y@desktop", LOGITS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.rglob("*.npy"))
