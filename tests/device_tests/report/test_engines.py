"""Engines beside the first ones: which executes the fewest instructions on a core, and picks of those that stand for devices."""

import io
from functools import partial

from msgspec.structs import replace
from rich.console import Console

from device_tests.report import engines, notes, sweep, tables
from device_tests.report.advice import can_ship, picks
from device_tests.report.groups import group
from device_tests.report.page import micro
from device_tests.results.npu import Compiled, Npu
from device_tests.rows import that_ran
from tests.device_tests.conftest import measured

CORE = "cortex-a76"
# a row of an emulated core: scheme, runtime, format, and the instructions
counted = partial(measured, device=CORE, latencies_ns=(), load_ns=None)


def races(*rows) -> tuple[engines.Counts, ...]:
    return engines.races(group(rows, 0.1))


def test_the_cheapest_of_several_engines_is_marked_and_what_does_not_run_says_why():
    rows = (
        counted("int8", "litert", "tflite", instructions=287_026),
        counted("int8", "openvino", "openvino", instructions=22_511_972),
        counted("int8", "ncnn", "ncnn", instructions=None, outcome="unsupported", reason="no ncnn2table"),
        counted("float32", "litert", "tflite", instructions=495_636),
        counted("float32", "ncnn", "ncnn", instructions=453_959),
        counted("int4", "litert", "tflite", instructions=1),  # no scheme of every engine
    )
    (race,) = races(*rows)
    assert (race.of, race.heads[3:]) == (CORE, ("torch_cnn_small",))
    assert race.lines == (
        ("float32", "litert", "tflite", ("495,636",)),
        ("float32", "ncnn", "ncnn", ("453,959, least",)),
        ("int8", "litert", "tflite", ("287,026, least",)),
        ("int8", "ncnn", "ncnn", ("unsupported",)),
        ("int8", "openvino", "openvino", ("22,511,972",)),
    )
    alone = (counted(scheme, "litert", "tflite", instructions=9) for scheme in ("float32", "int8"))
    assert races(*alone) == ()
    assert races(measured(runtime="litert", instructions=9), measured(runtime="ncnn", instructions=8)) == ()  # timed

    groups, out = group(rows, 0.1), io.StringIO()
    sweep.show(groups, Console(file=out, width=200))
    assert "453,959, least" in out.getvalue()
    section = list(sweep.sections(groups))[-1]
    assert f"## {CORE}: {engines.TITLE}" in section
    assert "| float32 | ncnn | ncnn | 453,959, least |" in section


def test_a_network_that_an_engine_was_not_run_on_has_an_empty_cell_and_its_own_winner():
    small = (counted("float32", "litert", "tflite", instructions=9), counted("float32", "ncnn", "ncnn", instructions=8))
    other = replace(counted("float32", "litert", "tflite", instructions=70), artifact="keras_cnn-tflite-float32")
    missing = replace(other, artifact="keras_cnn-ncnn-float32", runtime="ncnn", outcome="skipped", instructions=None)
    (race,) = races(*small, other, missing)
    cells = {runtime: dict(zip(race.heads[3:], cells, strict=True)) for _, runtime, _, cells in race.lines}
    assert cells["litert"] == {"torch_cnn_small": "9", "keras_cnn": "70, least"}
    assert cells["ncnn"] == {"torch_cnn_small": "8, least", "keras_cnn": ""}


UNTIMED = {"total": 1_000, "correct": 990, "agree": 1_000, "latencies_ns": (), "load_ns": None, "quick": True}
MISSING = {"outcome": "skipped", "evidence": "missing", "total": None, "latencies_ns": ()}


COREML = measured("palette4", "mil_evaluator", "coreml", size_bytes=10, compressed_bytes=9, **UNTIMED)
ARENA = measured("int8", "tflite_micro", "tflite", arena_bytes=65_536, **UNTIMED)


def by_title(*rows) -> dict:
    return {pick.title: pick for pick in picks(rows, 0.1, {})}


def test_what_stands_for_a_device_is_picked_for_it_only_and_only_if_it_is_good_enough():
    desktop = measured(runtime="litert", format_name="tflite")
    picked = by_title(desktop, COREML, ARENA)
    assert not can_ship(COREML)
    assert not can_ship(ARENA)
    assert {picked[title].id for title in ("smallest", "fastest on this CPU", "most faithful")} == {desktop.id}
    assert picked["smallest for iOS"].id == COREML.id
    assert "judged by the arithmetic of the file, not Apple's runtime" in picked["smallest for iOS"].message
    assert picked["fits a microcontroller of 64 kB"].id == ARENA.id
    assert "65.5 kB of arena, and 1.0 kB of flash" in picked["fits a microcontroller of 64 kB"].message
    assert set(by_title(COREML)) == {"smallest for iOS"}

    large = replace(ARENA, arena_bytes=65_537)
    assert set(by_title(large)) == {"fits no microcontroller of 64 kB"}
    assert by_title(replace(ARENA, lost=9), replace(COREML, lost=9)) == {}
    # a real Mac is not told that an evaluator judged
    assert "arithmetic" not in by_title(replace(COREML, runtime="coreml"))["smallest for iOS"].message


def test_a_place_with_untimed_rows_is_not_emulated_and_its_table_says_what_they_are():
    (one,) = group((measured(runtime="litert"), COREML, ARENA), 0.1)
    assert not one.emulated
    assert notes.quick((one,)) == 0  # these are always judged on fewer
    out = io.StringIO()
    tables.show((one,), 0.1, Console(file=out, width=250))
    text = out.getvalue()
    assert text.count("not timed") == 2
    for part in ("65.5", "mil_evaluator: the arithmetic of the Core ML", "tflite_micro: a microcontroller's reference"):
        assert part in text


def test_further_engines_that_never_ran_have_no_rows_and_are_left_out_of_a_check():
    absent = replace(COREML, **MISSING)
    others = [absent, measured(runtime="openvino", format_name="onnx", **MISSING)]
    first = measured(runtime="litert", **MISSING)  # of the first engines every cell is shown
    (one,) = group((measured(runtime="torch"), first, *others), 0.1)
    assert [row.runtime for row in one.rows] == ["torch", "litert"]
    (one,) = group((measured("int8", "openvino", "onnx"), *others), 0.1)
    assert [row.runtime for row in one.rows] == ["openvino", "openvino"]

    assert that_ran((first, absent)) == (first,)
    refused = replace(COREML, outcome="unsupported", total=None)  # by the toolchain: nothing ran
    assert that_ran((first, absent, refused)) == (first,)
    ran = replace(COREML, artifact="torch_cnn-coreml-float32")
    assert that_ran((first, absent, ran)) == (first, absent, ran)  # some have run: it is asked where the others are
    there = replace(absent, device="cortex-a76")
    assert that_ran((first, there, ran)) == (first, ran)  # but not on that device


def test_the_pages_section_names_the_schemes_that_an_npu_takes_whole():
    def npu(scheme: str, model: str = "torch_cnn_small", **facts) -> Npu:
        one = Compiled(accelerator="ethos-u55-128", outcome="ok", npu_operators=9, **facts)
        return Npu(artifact=f"{model}-tflite-{scheme}", key="k", version="5.2.0", compiled=(one,))

    npus = (npu("int8_io"), npu("int8"), npu("int8", "torch_cnn", cpu_operators=2))
    section = micro.of((ARENA, COREML), {one.artifact: one for one in npus})
    assert section["whole"] == ["int8_io"]
    assert section["accelerators"] == ["ethos-u55-128"]
    lines = {line["artifact"]: line for line in section["rows"]}
    assert (lines[ARENA.artifact]["fits"], lines[ARENA.artifact]["arena_bytes"]) == (True, 65_536)
    assert lines["torch_cnn-tflite-int8"]["arena_bytes"] is None
    assert micro.of((COREML,), {}) is None
