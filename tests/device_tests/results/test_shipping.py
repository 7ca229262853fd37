"""What an app grows by."""

import pytest

from device_tests.results import shipping as footprints
from models.common.errors import DataError
from tests.device_tests.conftest import footprint

TORCH = footprint("torch", compressed_bytes=100)


def test_what_was_weighed_is_read_by_runtime(tmp_path):
    assert footprints.read(tmp_path) == {}
    footprints.save((TORCH,), tmp_path / footprints.FILE)
    assert footprints.read(tmp_path) == {"torch": TORCH}


@pytest.mark.parametrize("content", ["no JSON", "{}", "[3]", '[{"runtime": "torch"}]'])
def test_a_broken_file_is_said(tmp_path, content):
    (tmp_path / footprints.FILE).write_text(content)
    with pytest.raises(DataError, match="Delete it and run: nox -s shipping"):
        footprints.read(tmp_path)


def test_a_model_ships_with_its_runtime_and_the_desktops_libraries_say_nothing_of_a_phone(measured):
    assert footprints.total_bytes(measured(compressed_bytes=7), {"torch": TORCH}) == 107
    assert footprints.total_bytes(measured(compressed_bytes=7), {}) is None
    assert footprints.total_bytes(measured(device="android:1"), {"torch": TORCH}) is None


def test_in_the_android_app_an_engine_costs_what_the_build_says(measured):
    facts = {"compressed_bytes": 7, "environment": {"extra": {"engine_bytes": 1_000}}}
    assert footprints.total_bytes(measured(**facts, device="app:pixel-7"), {}) == 1_007
    assert footprints.total_bytes(measured(**facts), {}) is None
