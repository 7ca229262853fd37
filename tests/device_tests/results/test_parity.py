"""Answers on another device, compared with the desktop's to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests.results import measurement as measurements
from device_tests.results import parity
from device_tests.rows import as_row
from models.errors import DataError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(50, 10)).astype(np.float32)


def keep(results, row, logits):
    measurements.save(row, results)
    parity.save(results, row.id, logits.astype("<f4"))
    return row


def test_equal_logits_are_the_same_on_every_image(tmp_path, measured):
    keep(tmp_path, measured(), LOGITS)
    row = keep(tmp_path, replace(measured(), device="cortex-a53"), LOGITS[:20])
    facts = parity.compare(row, tmp_path)
    assert facts == {"compared": 20, "same": 20, "difference": 0.0, "first_other": None}
    assert replace(row, **facts).same_as_desktop == 1.0


def test_one_other_bit_is_found_with_its_image(tmp_path, measured):
    keep(tmp_path, measured(), LOGITS)
    other = LOGITS.copy()
    other[7, 3] = np.nextafter(other[7, 3], np.float32(100))
    row = keep(tmp_path, replace(measured(), device="cortex-a53"), other)
    facts = parity.compare(row, tmp_path)
    assert (facts["same"], facts["first_other"]) == (49, 7)
    assert 0 < facts["difference"] < 1e-6


def test_a_browser_is_compared_with_the_desktops_runtime_of_the_same_files(tmp_path, measured):
    keep(tmp_path, measured(runtime="litert"), LOGITS)
    row = keep(tmp_path, replace(measured(runtime="litertjs"), device="browser:fox"), LOGITS)
    assert parity.compare(row, tmp_path)["same"] == 50


def test_another_artifact_is_not_compared(tmp_path, measured):
    keep(tmp_path, measured(artifact_sha256="a" * 64), LOGITS)
    row = keep(tmp_path, replace(measured(artifact_sha256="b" * 64), device="cortex-a53"), LOGITS)
    assert parity.compare(row, tmp_path) == {}


def test_the_desktop_is_not_compared_with_itself(tmp_path, measured):
    assert parity.compare(keep(tmp_path, measured(), LOGITS), tmp_path) == {}


def test_a_run_that_gives_no_logits_removes_the_earlier_ones(tmp_path, measured):
    row = keep(tmp_path, measured(), LOGITS)
    parity.save(tmp_path, row.id, None)
    assert not measurements.logits_path(tmp_path, row.id).exists()


def test_broken_logits_are_an_error_that_says_what_to_do(tmp_path, measured):
    keep(tmp_path, measured(), LOGITS)
    row = keep(tmp_path, replace(measured(), device="cortex-a53"), LOGITS)
    measurements.logits_path(tmp_path, row.id).write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="run the cell again"):
        parity.compare(row, tmp_path)


def test_a_device_that_is_named_like_a_path_stays_in_its_folder(tmp_path, measured):
    row = replace(measured(), device="browser:../../etc/x")
    measurements.save(row, tmp_path)
    (file,) = tmp_path.iterdir()
    assert as_row(measurements.read(file)) == row
