"""A user's own networks in a real Chromium: colour, other sizes, floats, names and numbers of classes than the zoo's."""

import base64
import struct
import zlib

import numpy as np
import pytest

from device_tests.results import judging
from models import reference
from tests.apps.web.colours import COLOURS, MANY, SEVEN, many_colours
from tests.apps.web.conftest import ANSWER, assert_checks, benchmark
from tests.conftest import assert_accessible

pytestmark = [pytest.mark.browser, pytest.mark.needs("npm")]

SEVEN_INT8, SEVEN_ONNX = f"{SEVEN}-tflite-int8", f"{SEVEN}-onnx-float32"
MANY_TFLITE, MANY_ONNX = f"{MANY}-tflite-float32", f"{MANY}-onnx-float32"
VIOLET = [*COLOURS][5]
SEEN = "c => [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"


def png(pixels: np.ndarray) -> bytes:
    """Return pixels, uint8 [H,W,3] or with transparency [H,W,4], as a PNG file."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def plain(colour, height: int = 300, width: int = 400) -> np.ndarray:
    return np.broadcast_to(np.uint8(colour), (height, width, 3)).copy()


@pytest.fixture
def page(opened, own):
    """The site of these networks with the one of seven colours."""
    return opened(SEVEN_INT8, url=own.url)


def choose(page, pixels: np.ndarray, name: str = "photo.png") -> None:
    give(page, "#file", png(pixels), name)


def give(page, field: str, content: bytes, name: str) -> None:
    page.locator(field).set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def seen(page) -> np.ndarray:
    width, height, *pixels = page.locator("#seen").evaluate(SEEN)
    return np.reshape(pixels, (height, width, 4))[..., :3]


@pytest.mark.parametrize("first", [SEVEN_INT8, MANY_TFLITE])
def test_every_artifact_checks_itself(opened, own, expect, first):
    assert_checks(opened(first, url=own.url), expect)


@pytest.mark.parametrize("id", [SEVEN_INT8, f"{SEVEN}-tflite-int8_io", SEVEN_ONNX, MANY_TFLITE, MANY_ONNX])
def test_the_reference_is_answered_as_its_float_source_does(page, own, id):
    judged = page.evaluate(ANSWER, id)
    expected = reference.load(reference.path(own.folder.with_name("artifacts"), id.split("-")[0]))
    ours = judging.unpack(judged["logits"], expected.logits.shape[1], len(expected.images))
    assert judged["correct"] == (ours.argmax(1) == expected.labels).sum()
    assert judged["agree"] == (ours.argmax(1) == expected.logits.argmax(1)).sum()
    assert np.abs(ours - expected.logits).max() < (1e-3 if id.endswith("float32") else 1)


def test_a_picture_is_cut_to_its_middle_and_answered_by_name(opened, own, expect):
    page = opened(SEVEN_INT8, SEVEN_ONNX, url=own.url)
    expect(page.locator("#input-title")).to_have_text("Show a picture")
    expect(page.locator("#pad")).to_be_hidden()
    picture = plain(COLOURS[VIOLET], 300, 900)
    picture[:, :300] = picture[:, 600:] = COLOURS["yellow"]
    choose(page, picture)
    expect(page.locator(".label")).to_have_text([VIOLET] * 2)
    assert page.locator(".label").first.get_attribute("title") == VIOLET
    expect(page.locator("#verdict")).to_have_text(f"All 2 answer {VIOLET[:39]}…")
    expect(page.locator(".bars").first.locator("li.top b")).to_have_text(VIOLET)
    expect(page.locator(".bars").first.locator("li")).to_have_count(7)
    expect(page.locator("#photo-note")).to_contain_text("photo.png, 900×300: its middle is resized to 32×32, colour.")
    assert np.array_equal(seen(page), plain(COLOURS[VIOLET], 32, 32))


def test_what_the_networks_see_is_the_mean_of_the_pictures_pixels(page, expect):
    rows, columns = np.mgrid[:256, :256]
    picture = np.stack([rows, columns, (rows + columns) // 2], -1).astype(np.uint8)
    choose(page, picture)
    label = "What the networks see: your picture, 32 by 32 pixels"
    expect(page.locator("#seen")).to_have_attribute("aria-label", label)
    means = picture.reshape(32, 8, 32, 8, 3).mean((1, 3))
    assert np.abs(seen(page) - means).max() <= 1


def test_what_is_transparent_is_white(page, expect):
    choose(page, np.zeros((40, 40, 4), np.uint8))
    expect(page.locator(".label")).not_to_have_text(["–"])
    assert (seen(page) == 255).all()


@pytest.mark.parametrize("index", [0, 137, 299])
def test_a_network_of_floats_and_many_classes_answers_and_shows_the_likeliest(opened, own, expect, index):
    page = opened(MANY_TFLITE, MANY_ONNX, url=own.url)
    choose(page, plain(many_colours()[index]))
    expect(page.locator(".label")).to_have_text([str(index)] * 2)
    lines = page.locator(".bars").first.locator("li")
    expect(lines).to_have_count(5)
    expect(lines.first.locator("b")).to_have_text(str(index))
    shares = [float(text.split()[-2]) for text in lines.locator("span").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    pixels = seen(page)
    assert pixels.shape == (24, 40, 3)
    assert np.abs(pixels - many_colours()[index].astype(int)).max() <= 1


def test_examples_have_the_names_and_pixels_of_their_own_networks(page, own, expect):
    expect(page.locator("#examples-list button")).to_have_count(7)
    page.get_by_role("button", name="Example of a green").click()
    expect(page.locator("#example-note")).to_have_text("Reference image 3, labelled green.")
    expect(page.locator(".label")).to_have_text(["green"])
    images = reference.load(reference.path(own.folder.with_name("artifacts"), SEVEN)).images
    assert np.array_equal(seen(page), images[3])


def test_networks_that_cannot_answer_one_picture_are_chosen_between(opened, own, expect):
    page = opened(SEVEN_INT8, SEVEN_ONNX, MANY_ONNX, url=own.url)
    networks = ["many: 40×24, colour, 300 classes", "seven: 32×32, colour, 7 classes"]
    expect(page.locator("#networks option")).to_have_text(networks)
    expect(page.locator("select.artifact")).to_have_count(2)  # of those that were picked, those that go together
    choose(page, plain(COLOURS["red"]))
    expect(page.locator(".label")).to_have_text(["red"] * 2)
    page.get_by_label("Networks", exact=True).select_option(networks[0])
    expect(page.locator("select.artifact")).to_have_value(MANY_TFLITE)
    expect(page.locator(".label")).to_have_text(["–"])
    offered = page.locator("select.artifact option").evaluate_all("all => all.map((o) => o.value)")
    assert all("many-" in id for id in offered)
    expect(page.locator("#examples-list button")).to_have_count(24)
    page.locator("#examples-list button").last.click()
    expect(page.locator(".label")).to_have_text(["299"])
    page.reload()
    expect(page.locator("select.artifact")).to_have_value(MANY_TFLITE)


DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
  const send = (kind) => document.querySelector("#drop").dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
  const over = [!send("dragover"), document.querySelector("#drop").classList.contains("over")];
  return [...over, !send("drop"), document.querySelector("#drop").classList.contains("over")];
}"""


def test_a_picture_is_dropped(page, expect):
    content = base64.b64encode(png(plain(COLOURS["blue"]))).decode()
    assert page.evaluate(DROP, [content, "blue.png"]) == [True, True, True, False]
    expect(page.locator(".label")).to_have_text(["blue"])
    expect(page.locator("#photo")).to_have_attribute("aria-label", "The picture: blue.png")


def test_what_is_no_picture_is_told_as_text_and_the_one_before_stays(page, expect):
    choose(page, plain(COLOURS["orange"]))
    expect(page.locator(".label")).to_have_text(["orange"])
    name = "<img src=x onerror=alert(1)>.png"
    give(page, "#file", b"no picture", name)
    sentence = f"{name} is no picture that this browser can read. JPEG, PNG and WebP are."
    expect(page.locator("#photo-note")).to_have_text(sentence)
    expect(page.locator(".label")).to_have_text(["orange"])
    assert page.locator("img").count() == 0


def test_the_camera_is_offered_where_there_is_a_touch_screen(page, opened, own, expect, playwright):
    expect(page.locator("#take")).to_be_hidden()
    page = opened(SEVEN_INT8, url=own.url, **playwright.devices["Pixel 7"])
    expect(page.locator("#take")).to_be_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    give(page, "#camera", png(plain(COLOURS["yellow"])), "camera.png")
    expect(page.locator(".label")).to_have_text(["yellow"])


def test_a_picture_can_be_chosen_on_the_keyboard(page):
    choosers: list = []
    # Chromium is told to hand them over, which is not waited for: so before the keys
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    page.get_by_label("Networks", exact=True).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.locator("label.button").first.evaluate("l => getComputedStyle(l).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    if not choosers:
        page.wait_for_event("filechooser")
    assert choosers[0].element.get_attribute("id") == "file"


def test_the_benchmark_saves_as_many_logits_as_there_are_classes(opened, own, tmp_path):
    page = opened(MANY_TFLITE, url=own.url)
    assert page.locator("#images").inner_text() == "600"
    _, (row,) = benchmark(page, tmp_path)
    assert (row["outcome"], row["total"]) == ("ok", 600)
    assert judging.unpack(row["answers"], 300, 600).shape == (600, 300)


@pytest.mark.parametrize("picks", [(SEVEN_INT8, SEVEN_ONNX), (MANY_TFLITE, MANY_ONNX)], ids=["seven", "many"])
def test_nothing_is_cut_off_unlabelled_or_hard_to_read(opened, own, expect, picks, window):
    page = opened(*picks, url=own.url, **window)
    choose(page, plain(COLOURS[VIOLET]), f"{'long' * 30}.png")
    expect(page.locator(".label")).not_to_have_text(["–"] * 2)
    assert_accessible(page)
