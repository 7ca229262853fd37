"""The page in a real Chromium: drawing, comparing, and what it says when something is wrong."""

import base64
import json
import re
from contextlib import contextmanager

import numpy as np
import pytest

from models import reference
from tests.apps.web.conftest import INT8, MODEL, ONNX, ROOT, answering, assert_checks, draw, touch
from tests.apps.web.strokes import DIGITS, moved

pytestmark = pytest.mark.browser

FLOAT32 = "torch_cnn_small-tflite-float32"
KERAS = "keras_cnn-tflite-int8"
FAILED = "Failed to load resource"  # as Chromium says


@pytest.mark.parametrize("placed", [(1, 0, 0), (0.5, 0.02, 0.45)], ids=["large", "small in a corner"])
def test_digits_drawn_with_the_mouse_are_read_by_every_artifact(opened, expect, placed):
    page = opened(INT8, KERAS, ONNX)
    for digit, strokes in DIGITS.items():
        draw(page, moved(strokes, *placed))
        expect(page.locator(".label")).to_have_text([str(digit)] * 3)
        expect(page.locator("#verdict")).to_have_text(f"All 3 answer {digit}.")
        page.locator("#clear").click()
        expect(page.locator(".label")).to_have_text(["–"] * 3)


def test_digits_drawn_with_a_finger_are_read(opened, expect, playwright):
    page = opened(INT8, **playwright.devices["Pixel 7"])
    for digit, strokes in DIGITS.items():
        touch(page, strokes)
        expect(page.locator(".label")).to_have_text([str(digit)])
        page.locator("#clear").tap()  # right after a stroke: many of these yield no click
        expect(page.locator(".label")).to_have_text(["–"])


def test_a_digit_is_drawn_on_the_keyboard(page, expect):
    page.locator("#pad").focus()
    page.keyboard.press("Space")
    for _ in range(17):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator(".label")).to_have_text(["1"])
    page.keyboard.press("u")
    expect(page.locator(".label")).to_have_text(["–"])


def test_each_stroke_is_answered_and_can_be_taken_back(page, expect):
    first, second = DIGITS[4]
    draw(page, [first])
    expect(page.locator(".label")).not_to_have_text(["–"])
    draw(page, [second])
    expect(page.locator(".label")).to_have_text(["4"])
    page.locator("#undo").press("Enter")
    page.locator("#undo").press("Enter")
    expect(page.locator(".label")).to_have_text(["–"])


def test_a_card_says_what_was_measured_and_of_what(page, expect):
    sidecar = json.loads((ROOT / "artifacts" / f"{INT8}.json").read_text())
    draw(page, DIGITS[3])
    card = page.locator(".card")
    expect(card.locator(".state")).to_have_text(re.compile(r"inference [\d.]+ (µs|ms)"))
    expect(page.locator("#preparation")).to_have_text(re.compile(r"prepared in [\d.]+ (µs|ms)"))
    expect(card.locator(".facts")).to_contain_text(f"{round(sidecar['size_bytes'] / 1000)} kB")
    expect(card.locator(".facts")).to_contain_text(sidecar["checkpoint_sha256"][:8])
    expect(card.locator(".bars li.top")).to_have_text(re.compile("3: "))
    seen = page.locator("#seen").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data]")
    assert max(seen[::4]) > 200


def disputed_example() -> dict:
    """Return the one image on which the float networks are the surest of different answers."""
    ours, theirs = (reference.load(reference.path(ROOT / "artifacts", name)) for name in (MODEL, "keras_cnn"))
    differ = ours.logits.argmax(1) != theirs.logits.argmax(1)
    index = int(np.argmax(np.where(differ, np.minimum(ours.margins, theirs.margins), -1)))
    image = base64.b64encode(ours.images[index].tobytes()).decode()
    return {"index": index, "label": int(ours.labels[index]), "image_u8": image, "flips": []}


def test_artifacts_that_disagree_are_marked(opened, expect):
    page = opened(INT8, FLOAT32, KERAS, routes={"examples.json": answering([[disputed_example()]])})
    page.locator("#examples-list button").click()
    expect(page.locator("#verdict")).to_have_class("disagree")
    one, same, other = page.locator(".label").all_inner_texts()
    assert one == same != other
    sentence = f"They disagree: {INT8} says {one}, {FLOAT32} says {same}, {KERAS} says {other}."
    expect(page.locator("#verdict")).to_have_text(sentence)
    assert [card.locator(".differs").is_visible() for card in page.locator(".card").all()] == [False, False, True]


def test_up_to_four_artifacts_are_added_and_removed(page, expect):
    for count in (2, 3, 4):
        page.locator("#add").click()
        expect(page.locator(".check.good")).to_have_count(count)
    expect(page.locator("#add")).to_be_hidden()
    assert len(set(page.locator(".card select.artifact").evaluate_all("all => all.map((s) => s.value)"))) == 4
    for _ in range(3):
        page.locator(".remove").first.click()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".remove")).to_be_hidden()


def test_every_artifact_checks_itself(page, expect):
    assert_checks(page, expect)


def test_a_failed_self_check_is_red_and_tells_the_difference(opened, expect):
    sidecar = json.loads((ROOT / "artifacts" / f"{INT8}.json").read_text())
    sidecar["golden"][0]["logits"][3] += 5
    page = opened(INT8, FLOAT32, routes={f"artifacts/{INT8}.json": answering(sidecar)})
    bad = page.locator(".card").first.locator(".check")
    expect(bad).to_have_text("✗ self-check failed: 1 of 4 golden vectors differ: a logit of a 7 is off by 5.00")
    expect(bad).to_have_css("color", "rgb(165, 35, 27)")
    expect(page.locator(".card").last.locator(".check")).to_have_class(re.compile("good"))


BAD = {
    "missing": (lambda route, good: route.fulfill(status=404), "the server says 404"),
    "no network": (lambda route, good: route.abort(), "no network, and it is not kept for offline use"),
    "cut off": (lambda route, good: route.fulfill(body=good[:1000]), "It has 1000 bytes of"),
    "damaged": (lambda route, good: route.fulfill(body=good[:-1] + bytes([good[-1] ^ 1])), "Its checksum is"),
}


@pytest.mark.parametrize(("respond", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_artifact_is_told_and_the_rest_goes_on(opened, expect, respond, sentence):
    good = (ROOT / "artifacts" / f"{INT8}.tflite").read_bytes()
    routes = {f"artifacts/{INT8}.tflite": lambda route: respond(route, good)}
    page = opened(INT8, FLOAT32, routes=routes, expected=(FAILED,))
    expect(page.locator(".card").first.locator(".state.bad")).to_contain_text(sentence)
    draw(page, DIGITS[8])
    expect(page.locator(".label")).to_have_text(["–", "8"])
    page.locator(".card").first.locator("select.artifact").select_option(ONNX)
    expect(page.locator(".label")).to_have_text(["8", "8"])


def test_a_runtime_that_cannot_be_fetched_is_told_and_the_other_runs(opened, expect):
    routes = {"packages/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": lambda route: route.abort()}
    expected = (FAILED, "wasm streaming compile", "falling back", "failed to asynchronously", "Aborted")
    page = opened(ONNX, INT8, routes=routes, expected=expected)
    expect(page.locator(".card").first.locator(".state.bad")).to_contain_text("onnxruntime_web does not load it")
    draw(page, DIGITS[2])
    expect(page.locator(".label")).to_have_text(["–", "2"])


def test_a_missing_catalogue_is_told(opened, expect):
    page = opened(routes={"catalogue.json": lambda route: route.fulfill(status=500)}, expected=(FAILED,))
    expect(page.locator("#problems")).to_contain_text("catalogue.json cannot be fetched: the server says 500")


@pytest.fixture
def other_browser(browser_type, browser_type_launch_args, address):
    """Return what opens the page in a browser of its own, with more flags."""

    @contextmanager
    def launched(*flags: str):
        args = [flag for flag in browser_type_launch_args["args"] if flag != "--disable-gpu"]
        with browser_type.launch(**{**browser_type_launch_args, "args": [*args, *flags]}) as browser:
            page = browser.new_page()
            page.goto(address)
            yield page

    return launched


def test_a_browser_without_simd_is_told_so(other_browser, expect):
    with other_browser("--js-flags=--no-enable-sse4-1") as page:  # without which Chromium has no WebAssembly SIMD
        expect(page.locator("#problems")).to_contain_text("has no SIMD instructions")
        expect(page.locator(".state.bad")).to_contain_text("has no SIMD instructions")
        draw(page, DIGITS[0])
        expect(page.locator("#preparation")).to_contain_text("prepared in")


def test_webgpu_is_an_option_where_the_browser_has_it(other_browser, expect):
    software = ("--use-webgpu-adapter=swiftshader", "--use-vulkan=swiftshader", "--enable-features=Vulkan")
    with other_browser("--enable-unsafe-webgpu", *software) as page:
        page.locator("select.accelerator").select_option("webgpu")
        expect(page.locator(".facts")).to_contain_text("loaded in", timeout=30_000)
        draw(page, DIGITS[3])
        expect(page.locator(".label")).to_have_text(["3"], timeout=30_000)
        expect(page.locator("select.accelerator")).to_have_value("webgpu")
        expect(page.locator(".check.good")).to_have_count(1)
