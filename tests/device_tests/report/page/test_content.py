"""What the page says, without a browser: its content, and code for every format, of which the Python code is run for real."""

import json
import re
import subprocess
import textwrap
from base64 import b64decode

import numpy as np
import pytest
from msgspec.structs import replace

from device_tests import current_results
from device_tests.report.groups import group
from device_tests.report.page import page, snippets
from device_tests.results import layers, placements
from device_tests.results import shipping as footprints
from device_tests.results.layers import LayerError, Layers
from device_tests.results.placements import Defect, Operator, Part
from export import artifact as artifacts
from export.contract import Tensor
from models.common import files, records
from models.common.environments import ROOT
from tests import programs
from tests.device_tests import conftest
from tests.device_tests.conftest import ID, MODEL, footprint, measured, placement
from tests.device_tests.report.page.conftest import EMULATED_ROW, EVIL, ROWS, Elements, data_of


def test_nothing_on_the_page_comes_from_elsewhere_and_what_a_runtime_said_is_text_and_never_markup(build):
    text = build().read_text()
    elements = Elements(text).elements
    for tag, attributes in elements:
        for name in ("src", "href", "action", "srcset"):
            assert re.match(r"#|data:", attributes.get(name) or "#"), (tag, attributes)
    assert not any("onerror" in attributes for _, attributes in elements)
    assert sum(tag == "script" for tag, _ in elements) == 3
    assert EVIL not in text
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &amp;" in text


def test_a_page_that_can_be_mailed_holds_every_row_and_the_references_own_pictures(build, folders):
    file = build()
    assert file.stat().st_size < 3_000_000
    text = file.read_text()
    assert {row.id for row in ROWS} <= {given.get("id") for tag, given in Elements(text).elements if tag == "tr"}
    data = data_of(text)
    assert [row["id"] for row in data["rows"]] == [r.id for g in group(ROWS, 0.1) for r in g.rows]
    with np.load(folders.bench.artifacts / f"{MODEL}.reference.npz") as reference:
        expected = reference["images"][7].tobytes()
    flipped = data["pictures"][MODEL]["7"]
    assert b64decode(flipped.pop("bytes")) == expected
    assert flipped == {"height": 28, "width": 28, "channels": 1}


def test_digits_quick_results_and_another_machine_are_said_and_what_was_not_measured_is_not_a_zero(build):
    plain = build().read_text()
    assert "NOT MNIST" not in plain
    assert "Quick results." not in plain
    assert '<dt>instructions</dt><dd><span class="none">not measured' in plain
    counted = {"instructions": 1_234_567, "instructions_cpu": "a CPU"}
    text = build((replace(ROWS[1], dataset=artifacts.Dataset(name="digits"), quick=True, **counted),)).read_text()
    assert 'role="alert"><strong>Judged on scikit-learn&#39;s digits, NOT MNIST' in text
    assert "1 of 1 cells were judged on fewer images" in text
    assert "<dt>instructions</dt><dd>1,234,567 per inference on a CPU" in text

    there = replace(ROWS[2], environment=replace(ROWS[2].environment, cpu="another CPU"))
    text = build((ROWS[1], there)).read_text()
    assert 'role="alert"><strong>The rows of desktop come from 2 machines, and nothing is compared' in text
    assert text.count("<td>desktop (machine 1)</td>") == text.count("<td>desktop (machine 2)</td>") == 1


def test_a_row_judged_on_easier_images_is_no_better_than_its_source(build):
    """A slow cell's first 500 images, all answered rightly, made it the most accurate of all."""
    few = replace(ROWS[3], artifact=f"{MODEL}-executorch-int4", total=500, agree=500, correct=500, lost=0, gained=0)
    shown = {row["artifact"]: row["top1"] for row in data_of(build((*ROWS[:4], few)).read_text())["rows"]}
    assert shown[f"{MODEL}-executorch-int4"] == shown[ROWS[1].artifact] == ROWS[1].top1
    assert shown[ROWS[3].artifact] == ROWS[3].top1


def test_a_placement_is_shown_as_long_as_it_holds(build, folders):
    facts = {"operators": (Operator(name="conv", integer=True, taken=True, macs=99), Operator(name="relu")),
             "parts": (Part(name="conv.weight", section="tensors", size_bytes=1_234),),
             "delegate": "XNNPACK", "defects": (Defect(kind="delegated_macs", share=0.0, text="<took little>"),)}  # fmt: skip
    placements.save(placement(key="of another file", **facts), folders.bench.results)
    assert "Placement: what ran where" not in build().read_text()
    key = current_results.explanation(folders.artifact, "torch")
    placements.save(placement(key=key, **facts), folders.bench.results)
    text = build().read_text()
    assert "XNNPACK: 50 % of the operators, 100.0 % of the MACs" in text
    assert "&lt;took little&gt;" in text
    assert "<dt>MACs in integers</dt><dd>100.0 %" in text
    assert "1,234" in text


def test_layers_are_shown_with_the_first_bad_one_or_why_a_format_shows_none(build, folders):
    assert f"nox -s explain -- --all --layers {ID}" in build().read_text()
    errors = (LayerError(layer="conv1", sqnr_db=None, max_abs=0.0, cosine=1.0),
              LayerError(layer="conv2", sqnr_db=12.34, max_abs=0.567, cosine=0.98, own_sqnr_db=9.87),
              LayerError(layer="conv3", sqnr_db=None, max_abs=0.0, cosine=0.0, paired=False))  # fmt: skip
    key = current_results.explanation(folders.artifact, current_results.EXPORT)
    layers.save(Layers(artifact=ID, key=key, images=64, tool="<a tool>", errors=errors), folders.bench.results)
    text = build().read_text()
    assert "on 64 test images; &lt;a tool&gt;" in text
    assert "<b>conv2</b> is the first that adds so much error of its own that less than 10 dB are left" in text
    assert "9.9 dB" in text
    assert "not paired" in text
    assert "12.3 dB" in text
    lite = ID.replace("torchscript", "torchscript_lite")
    artifacts.save(replace(folders.artifact, id=lite, format="torchscript_lite"), folders.bench.artifacts)
    assert layers.NOT_SHOWN["torchscript_lite"] in build((measured(artifact=lite),)).read_text()


def test_times_of_an_interleaved_run_are_shown_with_their_intervals(build, folders):
    p50 = {"value": 50_000, "low": 45_000, "high": 55_000}
    facts = {"id": ROWS[1].id, "rounds": 20, "samples": 1_280, "roof": "int8", "roof_share": 0.123, "p50_ns": p50,
             "p90_ns": p50, "p99_ns": None, "ratio": {"value": 0.9, "low": 0.8, "high": 1.1}}  # fmt: skip
    roof = {"dtype": "int8", "macs_per_s": 4e11}
    run = {"seed": 3, "date": "2026-01-02T03:04:05+00:00", "roofs": [roof], "summary": [facts]}
    file = folders.bench.results / "latency" / "torch@desktop.json"
    here = {"environment": {"cpu": "a CPU", "cpus": 2, "os": "an OS"}}
    series = {"id": ROWS[1].id, "artifact_sha256": folders.artifact.sha256, **here}
    files.write_json(file, run | {"series": [series]})
    text = build().read_text()
    assert "50.0 µs (95 %: 45.0 to 55.0): too noisy to say" in text
    assert "too few samples to say" in text
    assert "× 0.900 (95 %: 0.800 to 1.100): too noisy to say" in text
    assert "12.3 % of the 400 billion int8 multiply-accumulates" in text
    assert "on another machine" not in text
    files.write_json(file, run | {"series": [series | {"environment": {"cpu": "another CPU"}}]})
    assert "on another machine than the figures above: another CPU" in build().read_text()
    files.write_json(file, run | {"series": [series | {"artifact_sha256": "b" * 64}]})
    assert "45.0 to 55.0" not in build().read_text()
    # a hostile latency record ended the report: its date was taken for one
    for moment in ("", "ok", "2026-99-99T99:99:99", "\x00"):
        assert page._date(moment) == "at an unknown time"


def test_what_ships_is_told_per_runtime_and_who_dominates(build, folders):
    assert "nox -s shipping" in build().read_text()
    facts = {"compressed_bytes": 3_599_100, "cold_start_s": 1.5, "peak_rss_bytes": 250_000_000, "elsewhere": "<web>"}
    folders.bench.results.mkdir(exist_ok=True)
    records.write(folders.bench.results / footprints.FILE, (footprint("torch", **facts),))
    text = build().read_text()
    assert "The runtime dominates in 1 of 1 cases below: the model is 0.025 % to 0.025 % of what ships" in text
    for part in ("1,500 ms", "250 MB", "&lt;web&gt;", "3.60 MB compressed with the libraries of torch"):
        assert part in text


def test_an_emulated_row_shows_no_time_and_how_it_differs_from_the_desktop(build):
    assert "emulated: a time here would say nothing" not in build().read_text()
    text = build((*ROWS, EMULATED_ROW)).read_text()
    assert "emulated: a time here would say nothing about the device" in text
    assert '<td class="number">5,000,000, 990 of 1,000 same</td>' in text
    assert "990 of 1,000; the largest difference is 0.001, the first image with one is 7" in text
    (row,) = (row for row in data_of(text)["rows"] if row["id"] == f"{ID}@torch@cortex-a53")
    assert (row["place"], row["p50_ns"], row["shipped_bytes"]) == ("cortex-a53", None, None)


def test_microcontrollers_and_npus_have_a_section_where_something_is_known_of_them(build):
    assert 'id="micro"' not in build().read_text()
    micro = replace(ROWS[5], runtime="tflite_micro", latencies_ns=(), arena_bytes=10_944)
    # beside it: one pair, no times
    keras = replace(ROWS[6], runtime="tflite_micro", latencies_ns=(), arena_bytes=70_000)
    text = build((*ROWS, micro, keras)).read_text()
    section = text[text.index('id="micro"') :]
    assert "10.9 KB" in section
    assert "too large" in section
    assert "vela's estimate" in section or "vela&#39;s estimate" in section
    assert '<span class="none">not timed</span>' in text  # where networks of two frameworks are compared


ARTIFACT = conftest.artifact("a-b-c", format="tflite", file="a-b-c.tflite", layout="chw", labels=tuple("0123456789"),
                             inputs=(Tensor(name="image", shape=(-1, 1, 28, 28), dtype="float32"),),
                             outputs=(Tensor(name="logits", shape=(-1, 10), dtype="float32"),))  # fmt: skip
QUANTIZED = {side: (replace(getattr(ARTIFACT, side)[0], dtype="uint8", scale=0.5, zero_point=3),)
             for side in ("inputs", "outputs")}  # fmt: skip


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "ort", "executorch", "executorch_portable", "torchscript",
                                         "torchscript_lite", "savedmodel", "coreml", "openvino", "ncnn"])  # fmt: skip
def test_a_format_has_code_or_a_reason_in_every_language(format_name):
    written = snippets.of(replace(ARTIFACT, format=format_name))
    assert [s.language for s in written] == list(snippets.LANGUAGES.values())
    assert len(snippets.of(replace(ARTIFACT, format=format_name, file="no suffix"))) == len(written)
    assert all(bool(s.code) != bool(s.reason) for s in written)
    assert all("-1" not in s.code and "a-b-c.tflite" in s.code.replace('"a-b-c", ofType: "', "a-b-c.")
               for s in written if s.code and s.language != "Swift")  # fmt: skip


def test_code_for_quantized_inputs_rescales_and_nobody_is_told_to_ship_a_bare_network():
    assert snippets.of(replace(ARTIFACT, format="eager")) == ()
    plain, quantized = snippets.of(ARTIFACT), snippets.of(replace(ARTIFACT, **QUANTIZED))
    assert not any("zero" in s.code.lower() for s in plain)
    assert all("zero" in s.code.lower() for s in quantized)


SNIPPET_RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "ort": "onnxruntime", "executorch": "export",
                    "torchscript": "torch", "torchscript_lite": "torch", "savedmodel": "tensorflow",
                    "openvino": "openvino", "ncnn": "ncnn"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("format_name", SNIPPET_RUNTIMES)
def test_the_python_code_gives_the_golden_answers(format_name):
    every = artifacts.load(ROOT / "artifacts")
    chosen = [a for a in every if a.format == format_name and a.scheme in ("float32", "int8_io") and a.outcome == "ok"]
    if not chosen:
        programs.absent("needs artifacts: nox -s export")
    for artifact in chosen:
        golden = artifact.golden[0]
        code = next(s.code for s in snippets.of(artifact) if s.language == "Python")
        program = textwrap.dedent("""
            import base64, json, numpy
            pixels = numpy.frombuffer(base64.b64decode({picture!r}), numpy.uint8).astype("float32") / 255
            {code}
            print("\\n" + json.dumps([float(v) for v in logits]))
        """).format(picture=golden.image_u8, code=code)
        python = conftest.need_environment(SNIPPET_RUNTIMES[format_name])
        ran = subprocess.run([python, "-c", program], cwd=ROOT / "artifacts", capture_output=True, text=True)
        assert ran.returncode == 0, (artifact.id, ran.stderr)
        assert json.loads(ran.stdout.splitlines()[-1]) == pytest.approx(golden.logits, abs=0.02), artifact.id
