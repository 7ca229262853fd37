"""Engines on an emulated core: which one executes the fewest instructions for the same network."""

import io
from functools import partial

import pytest
from msgspec.structs import replace
from rich.console import Console

from device_tests.report import engines, sweep
from device_tests.report.groups import group

CORE = "cortex-a76"


@pytest.fixture
def counted(measured):
    """A maker of rows of an emulated core: scheme, runtime, format, and the instructions."""
    return partial(measured, device=CORE, latencies_ns=(), load_ns=None)


def races(*rows) -> tuple[engines.Race, ...]:
    return engines.races(group(rows, 0.1))


def test_the_cheapest_engine_of_a_scheme_is_marked_and_what_does_not_run_says_why(counted):
    (race,) = races(
        counted("int8", "litert", "tflite", instructions=287_026),
        counted("int8", "openvino", "openvino", instructions=22_511_972),
        counted("int8", "ncnn", "ncnn", instructions=None, outcome="unsupported", reason="no ncnn2table"),
        counted("float32", "litert", "tflite", instructions=495_636),
        counted("float32", "ncnn", "ncnn", instructions=453_959),
        counted("int4", "litert", "tflite", instructions=1),  # no scheme of every engine
    )
    assert (race.place, race.models) == (CORE, ("torch_cnn_small",))
    assert race.lines == (
        ("float32", "litert", "tflite", ("495,636",)),
        ("float32", "ncnn", "ncnn", ("453,959, least",)),
        ("int8", "litert", "tflite", ("287,026, least",)),
        ("int8", "ncnn", "ncnn", ("unsupported",)),
        ("int8", "openvino", "openvino", ("22,511,972",)),
    )


def test_a_network_that_an_engine_was_not_run_on_has_an_empty_cell_and_its_own_winner(counted):
    small = (counted("float32", "litert", "tflite", instructions=9), counted("float32", "ncnn", "ncnn", instructions=8))
    other = replace(counted("float32", "litert", "tflite", instructions=70), artifact="keras_cnn-tflite-float32")
    missing = replace(other, artifact="keras_cnn-ncnn-float32", runtime="ncnn", outcome="skipped", instructions=None)
    (race,) = races(*small, other, missing)
    cells = {runtime: dict(zip(race.models, cells, strict=True)) for _, runtime, _, cells in race.lines}
    assert cells["litert"] == {"torch_cnn_small": "9", "keras_cnn": "70, least"}
    assert cells["ncnn"] == {"torch_cnn_small": "8, least", "keras_cnn": ""}


def test_one_engine_alone_or_times_instead_of_counts_are_no_race(counted, measured):
    alone = (counted(scheme, "litert", "tflite", instructions=9) for scheme in ("float32", "int8"))
    assert races(*alone) == ()
    assert races(measured(runtime="litert", instructions=9), measured(runtime="ncnn", instructions=8)) == ()


def test_it_is_printed_and_in_the_markdown_report(counted):
    counts = {("litert", "tflite"): 495_636, ("ncnn", "ncnn"): 453_959}
    groups = group(tuple(counted("float32", *engine, instructions=n) for engine, n in counts.items()), 0.1)
    out = io.StringIO()
    sweep.show(groups, Console(file=out, width=200))
    assert "453,959, least" in out.getvalue()
    section = list(sweep.sections(groups))[-1]
    assert f"## {CORE}: {engines.TITLE}" in section
    assert "| float32 | ncnn | ncnn | 453,959, least |" in section
