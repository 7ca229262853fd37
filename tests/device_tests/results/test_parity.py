"""Answers on another device, compared with the desktop's to the last bit."""

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests.results import measurement as measurements
from device_tests.results import parity
from device_tests.results.row import Row
from models.common.errors import DataError

LOGITS = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)


@pytest.fixture
def keep(measured, tmp_path):
    def save(logits: np.ndarray = LOGITS, **facts) -> Row:
        row = measured(**facts)
        measurements.save(row, tmp_path)
        parity.save(tmp_path, row.id, logits.astype("<f4"))
        return row

    return save


def test_equal_logits_are_the_same_on_every_image_also_in_a_browser_with_the_runtime_of_the_same_files(tmp_path, keep):
    keep(runtime="litert")
    row = keep(LOGITS[:20], runtime="litert", device="cortex-a53")
    facts = parity.compare(row, tmp_path)
    assert facts == {"compared": 20, "same": 20, "difference": 0.0, "first_other": None}
    assert replace(row, **facts).same_as_desktop == 1.0
    assert parity.compare(keep(runtime="litertjs", device="browser:fox"), tmp_path)["same"] == 50
    assert parity.compare(keep(runtime="litert"), tmp_path) == {}  # neither the desktop itself nor another artifact
    assert parity.compare(keep(artifact_sha256="b" * 64, device="cortex-a53"), tmp_path) == {}


def test_one_other_bit_is_found_with_its_image_and_broken_logits_are_an_error_that_says_what_to_do(tmp_path, keep):
    keep()
    other = LOGITS.copy()
    other[7, 3] = np.nextafter(other[7, 3], np.float32(100))
    row = keep(other, device="cortex-a53")
    facts = parity.compare(row, tmp_path)
    assert (facts["same"], facts["first_other"]) == (49, 7)
    assert 0 < facts["difference"] < 1e-6
    file = measurements.logits_path(tmp_path, row.id)
    file.write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="run the cell again"):
        parity.compare(row, tmp_path)
    parity.save(tmp_path, row.id, None)  # a run that gives no logits removes the earlier ones
    assert not file.exists()
