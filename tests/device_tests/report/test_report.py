"""What the report says, and what it must not leave out."""

import io
import json

from msgspec.structs import replace
from rich.console import Console

from device_tests.report import columns
from device_tests.report import tables as report
from device_tests.report.advice import can_ship, picks
from device_tests.report.groups import by_device, group, hardware, of_several_machines, place
from device_tests.report.sweep import sweeps
from device_tests.results.measurement import Environment
from models.common.markdown import LIMIT_BYTES
from tests.device_tests.conftest import MODEL, footprint, measured
from tests.device_tests.report.page.conftest import EMULATED, NOTHING

MISMATCH = {"outcome": "mismatch", "reason": "9 of 10,000 answers agree"}
RESULTS = (
    measured("int8", "executorch", size_bytes=300, agree=9_990, lost=4, gained=2, latencies_ns=(50_000,)),
    measured("dynamic_int8", "executorch", size_bytes=250, agree=9_000, lost=90, gained=1),
    measured(format_name="eager", size_bytes=900),
    measured(runtime="litert", latencies_ns=(52_000,)),
    measured("float16", "executorch", agree=9, lost=9_000, **MISMATCH),
    measured("int4", "executorch", outcome="unsupported", reason="no kernel | at all", **NOTHING),
)
EMULATED_ROW = replace(RESULTS[0], **EMULATED)


def printed(rows) -> str:
    console = Console(width=report.WIDTH, record=True, file=io.StringIO())
    report.show(group(rows, 0.1), 0.1, console)
    return console.export_text()


def line_of(name: str, rows) -> str:
    (line,) = (line for line in printed(rows).splitlines() if line.startswith(f"│ {name}"))
    return line


def test_what_is_written_holds_every_row_with_its_whole_reason_and_markdown_stays_postable(tmp_path):
    report.write(group(RESULTS, 0.1), 0.1, tmp_path, tmp_path / "table.svg")
    text = (tmp_path / "report.md").read_text()
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(RESULTS)
    assert "no kernel \\| at all" in text
    assert "9 of 10,000 answers agree" in text
    (model,) = json.loads((tmp_path / "report.json").read_text())
    row = next(r for r in model["rows"] if r["id"].startswith(f"{MODEL}-torchscript-int8@"))
    assert (row["p50_ns"], row["top1"], row["latency_samples"]) == (50_000, 0.99, 1)
    assert "latencies_ns" not in row
    assert (tmp_path / "table.svg").read_text().startswith("<svg")

    many = tuple(replace(RESULTS[5], device=f"core-{i}", reason="r" * 300) for i in range(400))
    report.write(group((*RESULTS, *many), 0.1), 0.1, tmp_path, None)
    text = (tmp_path / "report.md").read_text()
    assert len(text.encode()) <= LIMIT_BYTES
    name = MODEL.replace("_", "\\_")
    assert f"{name} on core-399: no results yet: 1 rows do not fit here; report.json has them." in text


def test_picks_keep_within_the_margin_and_name_what_is_as_fast():
    smallest, fastest, faithful = picks(RESULTS, 0.1, {})
    # dynamic_int8 is smaller and loses 0.89 points
    assert smallest.id == f"{MODEL}-torchscript-int8@executorch@desktop"
    assert "top-1 -0.02 points against the float source, paired on 10,000 images" in smallest.message
    assert smallest.message.endswith("with 95 % certainty it loses less than 0.07")
    assert fastest.id == smallest.id
    (gaining, *_) = picks((replace(RESULTS[0], lost=0, gained=9),), 0.1, {})
    assert gaining.message.endswith("with 95 % certainty it gains more than 0.04")
    assert f"but not lighter: {MODEL}-torchscript-float32@litert@desktop" in fastest.message
    assert faithful.id == f"{MODEL}-torchscript-float32@litert@desktop"
    assert picks(RESULTS[1:2], 0.1, {}) == ()
    assert "Nothing that can ship stays within 0.1 points" in printed(RESULTS[1:2])


def test_a_desktop_framework_is_never_recommended_and_of_equals_the_lighter_runtime_is_taken():
    framework = measured(runtime="tensorflow", size_bytes=1, latencies_ns=(1,))
    assert picks((framework,), 0.1, {}) == ()
    heavy = measured(runtime="onnxruntime", latencies_ns=(100_000,))
    light = measured(runtime="litert", latencies_ns=(101_000,))
    far = measured(runtime="tflite_runtime", latencies_ns=(150_000,))
    sizes = {"onnxruntime": 31, "litert": 22, "tflite_runtime": 6}
    weights = {runtime: footprint(runtime, compressed_bytes=size) for runtime, size in sizes.items()}
    by_title = {pick.title: pick for pick in picks((framework, heavy, light, far), 0.1, weights)}
    assert by_title["fastest on this CPU"].id == light.id
    assert f"not lighter: {heavy.id}" in by_title["fastest on this CPU"].message
    assert by_title["smallest"].id == far.id


def test_other_data_than_mnist_is_said_loudly_and_quick_results_are_said_where_a_device_judges_more():
    assert printed((measured(dataset={"name": "digits"}),)).count("NOT MNIST") == 2
    assert "1 of 1 results are quick ones" in printed((measured(quick=True, total=1_000),))
    text = printed((replace(EMULATED_ROW, quick=True),))
    assert "quick ones" not in text
    assert "Emulated devices judge on the first 1,000 images" in text


def test_ratios_stand_against_the_first_row_and_one_of_an_interleaved_run_goes_before_those_of_runs_apart():
    text = printed(RESULTS)
    assert text.index("│ eager-float32") < text.index("│ torchscript-int8")
    assert " 0.50 " in line_of("torchscript-int8", RESULTS)
    timed = replace(RESULTS[0], latency_ratio=0.6, latency_ratio_low=0.58, latency_ratio_high=0.62)
    line = line_of("torchscript-int8", (timed, *RESULTS[1:]))
    assert "0.60 faster" in line
    assert " 0.50 " not in line
    intervals = {(0.9, 1.0, 1.1): "too noisy", (0.98, 1.0, 1.02): "1.00 equal", (1.04, 1.2, 1.3): "1.20 slower"}
    for (low, value, high), text in intervals.items():
        timed = replace(RESULTS[0], latency_ratio=value, latency_ratio_low=low, latency_ratio_high=high)
        assert text in printed((timed,))


def test_other_sets_instructions_options_of_a_scheme_and_batches_have_columns():
    digits = {"total": 1_000, "correct": 957, "source_correct": 960, "agree": 990}
    line = line_of("torchscript-float32", (measured(sets={"digits": digits}, instructions=1_234_567),))
    assert " 95.7 " in line
    assert " 1.23 " in line
    row = measured(covered_share=0.5, covered_macs=0.25, options='calibration = "mse"')
    shown = {title: text(row, None) for title, text in columns.all_columns([row])}
    assert (shown["weights %"], shown["MACs %"], shown["options"]) == ("50.0", "25.0", 'calibration = "mse"')
    # what takes several images at once is not recommended
    for batch, text, ships in ((1, "1", True), (4, "4", False), (-1, "any", True)):
        row = measured(batch=batch, runtime="litert")
        assert dict(columns.all_columns([row]))["batch"](row, None) == text
        assert can_ship(row) is ships


def test_an_emulated_row_is_never_the_fastest_and_shows_no_time():
    desktop, core = group((*RESULTS, EMULATED_ROW), 0.1)
    assert (core.place, [p.title for p in core.picks]) == ("cortex-a53", ["smallest", "most faithful"])
    assert all(EMULATED_ROW.id != pick.id for pick in desktop.picks)
    shown = {title: text(EMULATED_ROW, None) for title, text in columns.all_columns(())}
    assert (shown["p50 µs"], shown["p90 µs"]) == ("emulated", "")


def test_the_sweep_tells_of_each_core_what_it_executes_and_whether_it_answers_alike(tmp_path):
    emulated = replace(EMULATED_ROW, bound_share=0.421, bound="8 multiply-accumulates per SMLAL")
    same = {"same": 1_000, "difference": 0.0, "first_other": None}
    other = replace(emulated, device="max", bound_share=None, instructions=4_000_000, **same)
    failed = replace(other, artifact=RESULTS[0].artifact.replace("int8", "int4"), outcome="timed_out", reason="slow")
    groups = group((*RESULTS, emulated, other, failed), 0.1)
    (sweep,) = sweeps(groups)
    assert (sweep.of, sweep.heads[2:]) == (MODEL, ("cortex-a53", "max"))
    assert sweep.lines == (
        ("torchscript-int8", "executorch", ("5,000,000 (42% of the limit), 990 of 1,000 same", "4,000,000, same")),
        ("torchscript-int4", "executorch", ("", "timed_out")),
    )
    report.write(groups, 0.1, tmp_path, None)
    markdown = "| torchscript-int8 | executorch | 5,000,000 (42% of the limit), 990 of 1,000 same | 4,000,000, same |"
    assert markdown in (tmp_path / "report.md").read_text()
    assert "4,000,000, same" in printed((*RESULTS, other))


def test_nothing_is_compared_across_machines():
    another = replace(RESULTS[0].environment, cpu="another CPU")
    elsewhere = replace(RESULTS[0], environment=another, latencies_ns=(1_000,))
    first, second = group((elsewhere, *RESULTS[1:]), 0.1)
    assert (first.place, second.place) == ("desktop (machine 1)", "desktop (machine 2)")
    assert second.eager is None
    assert elsewhere.id not in {pick.id for pick in first.picks}
    rows = (elsewhere, *RESULTS[1:])
    assert "The rows of desktop come from 2 machines, and nothing is compared across them" in printed(rows)
    assert "0.01" not in line_of("torchscript-int8", rows)


def test_what_ships_is_the_model_with_its_runtime():
    sizes = {"torch": 115_000_000, "litert": 2_099_100}
    weights = {runtime: footprint(runtime, compressed_bytes=size) for runtime, size in sizes.items()}
    pick = next(p for p in picks(RESULTS, 0.1, weights) if p.title == "smallest to ship")
    assert pick.id == f"{MODEL}-torchscript-float32@litert@desktop"  # not the smallest file, which needs PyTorch
    assert pick.message.startswith("2.10 MB compressed with the libraries of litert; the model is 0.0% of that")


def placed(rows):
    several = by_device(rows)
    return [place(row, several) for row in rows], of_several_machines(several)


def test_another_cpu_or_system_is_another_machine_one_needs_no_number_and_what_never_ran_is_of_the_first():
    for changed in ({"cpu": "another"}, {"cpus": 64}, {"os": "another kernel"}):
        there = measured(environment=replace(measured().environment, **changed))
        names, (warning,) = placed([there, measured(), measured()])
        assert names == ["desktop (machine 2)", "desktop (machine 1)", "desktop (machine 1)"]
        assert f"machine 2 is {hardware(there.environment)}" in warning
    another_python = measured(environment=replace(measured().environment, python="3.9"))
    rows = [measured(), another_python, measured(device="cortex-a53")]
    assert placed(rows) == (["desktop", "desktop", "cortex-a53"], [])
    other, never = measured(environment={"cpu": "another"}), measured(outcome="skipped", environment={})
    names, _ = placed([other, measured(), measured(), never])
    assert names[-1] == "desktop (machine 1)"
    assert placed([never]) == (["desktop"], [])
    assert hardware(Environment(os="Android 15")) == "Android 15"  # a browser that does not tell its processor
