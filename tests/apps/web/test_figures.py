"""What the page measures and how it prepares a drawing, against Python."""

import json
from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from device_tests import devices
from device_tests.contract import DESKTOP, Job
from device_tests.report import notes
from device_tests.report.groups import group
from device_tests.results import judging
from device_tests.schedule import Turns
from export import artifact as artifacts
from models import reference
from tests.apps.web.conftest import ANSWER, INT8, ONNX, ROOT, answering, benchmark
from tests.apps.web.strokes import DIGITS, Stroke, moved
from tests.device_tests.conftest import joined, type_in

pytestmark = pytest.mark.browser

IMAGES = 1_000

SEE = "async (strokes) => [...(await import('./ink.js')).see(strokes)]"


add = partial(type_in, "add", "--artifacts", ROOT / "artifacts")


def on_the_desktop(id: str, runtime: str) -> np.ndarray:
    """Return what Python's runtime answers, in its own environment."""
    folder = ROOT / "artifacts"
    sidecar = artifacts.sidecar_path(folder, id)
    files = {"artifact": folder / artifacts.read(sidecar).file, "sidecar": sidecar,
             "reference": reference.path(folder, id.split("-")[0])}  # fmt: skip
    job = Job(runtime=runtime, **files, images=IMAGES, latency_s=0, timeout_s=120)
    row = devices.device(DESKTOP).run(job, Turns(1))
    assert row["outcome"] == "ok", row["reason"]
    return judging.unpack(row["logits"], 10, IMAGES)


@pytest.mark.parametrize(
    ("runtime", "ids"),
    [
        ("litert", [*(f"torch_cnn_small-tflite-{s}" for s in ("float32", "float16", "dynamic_int8", "int8", "int8_io",
                    "int16x8", "int4", "qat_int8")), "torch_cnn-tflite-int8", "keras_cnn-tflite-int8"]),
        ("onnxruntime", [*(f"torch_cnn_small-onnx-{s}" for s in ("float32", "float16", "dynamic_int8", "int8", "int4")),
                         "torch_cnn_small-ort-int8", "torch_cnn-onnx-int8", "keras_cnn-onnx-int8"]),
    ],
    ids=["LiteRT", "ONNX Runtime"],
)  # fmt: skip
def test_a_thousand_images_are_answered_as_pythons_runtime_does(opened, runtime, ids):
    page = opened(ids[0])
    other = {}
    for id in ids:
        ours = judging.unpack(page.evaluate(ANSWER, id)["logits"], 10, IMAGES)
        theirs = on_the_desktop(id, runtime)
        assert len(ours) == len(theirs) == IMAGES
        different = int((ours.argmax(1) != theirs.argmax(1)).sum())
        print(f"{id}: {IMAGES - different} of {IMAGES} same answers, logits within {np.abs(ours - theirs).max():.2g}, "
              f"{int((ours == theirs).all(1).sum())} images to the last bit")  # fmt: skip
        if different:
            other[id] = different
    assert not other


def test_the_benchmark_saves_what_the_report_merges(opened, expect, tmp_path):
    page = opened(INT8, ONNX, INT8)  # what is shown twice is measured once
    page.locator("#device").fill("test-machine")
    (file, _), results = benchmark(page, tmp_path), tmp_path / "results"
    expect(page.locator("#figures tbody th")).to_have_text([f"{INT8} on litertjs", f"{ONNX} on onnxruntime web"])
    assert file.name == "edgewise-test-machine.json"
    assert add(file, "--results", results) == 0
    device = "browser:test-machine"
    rows = joined(ROOT / "artifacts", results, device)
    assert {row.id for row in rows} == {f"{INT8}@litertjs@{device}", f"{ONNX}@onnxruntime_web@{device}"}
    for row in rows:
        assert (row.outcome, row.total) == ("ok", IMAGES)
        assert row.top1 > 0.98
        assert len(row.latencies_ns) == 200 or any("latency samples" in note for note in row.notes)
        assert 0 < row.p50_ns <= row.p90_ns
    assert any(device in line for line in notes.footnotes(group(rows, 0.1)))


def test_a_name_that_the_report_would_refuse_is_not_taken(page):
    page.locator("#device").fill("../My Phone")
    page.locator("#measure").click()
    assert page.locator("#device:invalid").count() == 1
    assert page.locator("#progress").inner_text() == ""


def prepared(strokes: list[Stroke], width: float) -> list[np.ndarray]:
    """Prepare as MNIST was, by other means than the page: a fine picture, cut to its box, averaged down, then moved.

    The centre of a symmetric drawing lies half way between two pixels: then either will do.
    """
    side = 1_400
    fine = np.zeros((side, side), bool)
    rows, columns = np.mgrid[:side, :side]
    for stroke in strokes:
        for (ax, ay), (bx, by) in zip(stroke, stroke[1:] or stroke, strict=False):
            a, b = np.array([ax, ay]) * side, np.array([bx, by]) * side
            low, high = np.minimum(a, b) - width * side, np.maximum(a, b) + width * side
            near = np.s_[max(0, int(low[1])) : int(high[1]), max(0, int(low[0])) : int(high[0])]
            x, y = columns[near] + 0.5 - a[0], rows[near] + 0.5 - a[1]
            d = b - a
            along = np.clip((x * d[0] + y * d[1]) / max(d @ d, 1e-9), 0, 1)
            fine[near] |= np.hypot(x - along * d[0], y - along * d[1]) <= width * side / 2
    inked = np.argwhere(fine)
    (top, left), (bottom, right) = inked.min(0), inked.max(0) + 1
    scale = 20 / max(bottom - top, right - left)
    boxed = np.zeros((28, 28))
    # each fine pixel adds its area to the pixel that it falls on
    centre = np.array([(top + bottom) / 2, (left + right) / 2])
    at = np.floor((inked + 0.5 - centre) * scale + 14).astype(int)
    np.add.at(boxed, tuple(at.T), scale**2)
    away = 14 - np.array(ndimage.center_of_mass(boxed))
    shifts = {tuple(np.round(away + np.array((dy, dx))).astype(int)) for dy in (-0.02, 0.02) for dx in (-0.02, 0.02)}
    return [np.roll(np.clip(boxed, 0, 1), shift, (0, 1)) * 255 for shift in shifts]


def test_drawings_are_prepared_as_python_prepares_them(page):
    for digit, drawn in DIGITS.items():
        for scale, dx, dy in ((1, 0, 0), (0.45, 0.5, 0.05)):
            strokes, width = moved(drawn, scale, dx, dy), 0.09 * scale
            ours = np.reshape(page.evaluate(SEE, [{"points": stroke, "width": width} for stroke in strokes]), (28, 28))
            difference = min((np.abs(ours - theirs) for theirs in prepared(strokes, width)), key=np.mean)
            assert difference.mean() < 1.5, digit  # of 255; a pixel too far is 20
            assert difference.max() < 100, digit  # in a corner, where the page goes by distance and this by area


# stands in for a runtime whose graphics processor goes away in the middle of the benchmark
LOST = """let count = 0;
export async function start() {}
export async function load() {
  return { close() {}, async run() { if (++count > 100) throw new Error("the device was lost"); return new Float32Array(10); } };
}"""


def test_an_artifact_that_fails_in_the_middle_is_saved_as_failed_and_the_rest_is_measured(
    opened, expect, tmp_path, capsys
):
    routes = {"runtimes/onnxruntime_web.js": lambda route: route.fulfill(body=LOST, content_type="text/javascript")}
    page = opened(INT8, ONNX, routes=routes)
    file, saved = benchmark(page, tmp_path)
    rows = {row["artifact"]: row for row in saved}
    assert (rows[INT8]["outcome"], rows[INT8]["reason"], rows[INT8]["total"]) == ("ok", "", IMAGES)
    assert (rows[ONNX]["outcome"], rows[ONNX]["reason"]) == ("run_failed", "the device was lost")
    assert not {"latencies_ns", "answers", "correct"} & set(rows[ONNX])
    expect(page.locator("#progress")).to_contain_text(f"{ONNX} was not measured: the device was lost.")
    assert add(file, "--results", tmp_path / "results") == 0
    assert f"run_failed {ONNX}@onnxruntime_web" in capsys.readouterr().out


def test_times_of_a_page_that_was_not_in_front_do_not_count(page, tmp_path):
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    _, (row,) = benchmark(page, tmp_path)
    assert row["outcome"] == "run_failed"
    assert "the page was not in front all the time" in row["reason"]
    assert "latencies_ns" not in row


def test_what_json_has_no_word_for_is_never_saved(page):
    for value in ("NaN", "Infinity", "-Infinity", "undefined"):
        rows = f"[{{ outcome: 'ok', first_ns: {value} }}]"
        saved = f"import('./benchmark.js').then((m) => m.file({rows})).catch((error) => error.message)"
        message = page.evaluate(f"() => {saved}")
        assert message == f"first_ns is {value}, which no file can hold."


def test_an_artifact_without_golden_vectors_is_not_called_checked(opened, expect, tmp_path):
    sidecar = json.loads((ROOT / "artifacts" / f"{INT8}.json").read_text()) | {"golden": []}
    page = opened(INT8, routes={f"artifacts/{INT8}.json": answering(sidecar)})
    sentence = "✗ self-check failed: its sidecar holds no golden vectors to check it by"
    expect(page.locator(".check.bad")).to_have_text(sentence)
    _, (row,) = benchmark(page, tmp_path)
    assert row["first_ns"] > 0
    assert row["outcome"] == "ok"
