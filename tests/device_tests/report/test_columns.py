"""What the report's columns say of an artifact's scheme: its batch, its options, what it covers."""

from __future__ import annotations

import pytest

from device_tests.report import advice, columns
from device_tests.results.row import Row


def row(**facts) -> Row:
    return Row(artifact="net-tflite-mine", runtime="litert", device="desktop", outcome="ok", **facts)


def cell(title: str, shown: Row) -> str:
    return dict(columns.all_columns([shown]))[title](shown, None)


@pytest.mark.parametrize(("batch", "text"), [(1, "1"), (4, "4"), (-1, "any")])
def test_the_batch_is_a_column(batch, text):
    assert cell("batch", row(batch=batch)) == text


def test_options_and_what_they_cover_are_columns():
    shown = row(covered_share=0.5, covered_macs=0.25, options='calibration = "mse"')
    assert [cell(title, shown) for title in ("weights %", "MACs %", "options")] == [
        "50.0",
        "25.0",
        'calibration = "mse"',
    ]


@pytest.mark.parametrize(("batch", "ships"), [(1, True), (-1, True), (4, False)])
def test_what_takes_several_images_at_once_is_not_recommended_to_an_app(batch, ships):
    assert advice.can_ship(row(batch=batch)) is ships
