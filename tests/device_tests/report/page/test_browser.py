"""What the page does, in a real headless Chromium."""

from pathlib import Path

import pytest

from device_tests.report.groups import group
from device_tests.report.page import page
from device_tests.results import shipping as footprints
from models.common.environments import ROOT
from tests import programs
from tests.conftest import assert_accessible
from tests.device_tests.conftest import joined
from tests.device_tests.report.page.conftest import EMULATED_ROW, ROWS

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(build, new_context):
    """Return a function that opens the page from its file; what the browser complains of or asks for fails the test."""
    wrong: list[str] = []

    def opened(file: Path | None = None, *, address: str = "", **options):
        page_ = new_context(**options).new_page()
        page_.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
        page_.on("pageerror", lambda error: wrong.append(str(error)))
        page_.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
        page_.goto((file or build()).as_uri() + address)
        page_.wait_for_selector("html[data-ready]")
        return page_

    yield opened
    assert not wrong


@pytest.fixture(scope="module")
def real_page(tmp_path_factory) -> Path:
    """The page of the results that are there."""
    results = ROOT / "results"
    if not any(results.glob("*.json")):
        programs.absent("needs results: nox -s device_tests")
    folders = {"artifacts_folder": ROOT / "artifacts", "results_folder": results}
    groups = group(joined(*folders.values()), 0.1, footprints.read(results / footprints.FILE))
    return page.write(groups, 0.1, tmp_path_factory.mktemp("report"), **folders)


def shown(page_) -> int:
    return page_.locator("#table tbody tr:visible").count()


def slide(page_, name: str, step: int) -> None:
    page_.locator(f"[name={name}]").fill(str(step))


def choose(page_, goal: str) -> None:
    page_.get_by_role("radio", name=goal, exact=True).check()


def ship(page_) -> str:
    return page_.locator("#best .ship").inner_text()


def test_filters_narrow_the_rows_and_headings_sort_them_both_ways_with_what_is_missing_last(opened):
    page_ = opened()
    heading = page_.locator("#table th", has_text="p50 µs")

    def column() -> list[str]:
        text = "(rows, i) => rows.map((r) => r.cells[i]?.colSpan === 1 ? r.cells[i].textContent : '-')"
        return page_.locator("#table tbody tr").evaluate_all(text, heading.evaluate("(h) => h.cellIndex"))

    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    up = column()
    assert up[-1] == "-"
    assert [int(v) for v in up[:-1]] == sorted(int(v) for v in up[:-1])
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column() == [*sorted(up[:-1], key=int, reverse=True), "-"]

    assert shown(page_) == len(ROWS)
    page_.locator("#filter [name=scheme]").select_option("int8")
    assert shown(page_) == 1
    assert page_.locator("#count").inner_text() == f"1 of {len(ROWS)} rows"
    page_.locator("#filter [type=reset]").click()
    page_.locator("#filter [name=text]").fill("onerror")
    page_.wait_for_function("document.querySelector('#count').textContent.startsWith('1 of')")


def test_sliders_and_goals_change_the_recommendation_and_the_button_the_colours(opened):
    page_ = opened(color_scheme="light")
    choose(page_, "size")
    assert ship(page_) == "Ship torch_cnn_small-torchscript-int8 on torch"
    choose(page_, "speed")
    assert ship(page_) == "Ship torch_cnn_small-tflite-float32 on litert"
    slide(page_, "top1_loss", 100)
    assert ship(page_) == "Ship torch_cnn_small-torchscript-dynamic_int8 on torch"
    slide(page_, "size_bytes", 0)
    assert ship(page_) == "Ship torch_cnn_small-torchscript-int8 on torch"
    slide(page_, "p50_ns", 0)
    assert "Nothing stays within these limits" in page_.locator("#best").inner_text()
    colours = []
    for _ in range(3):
        colours.append(page_.evaluate("getComputedStyle(document.body).backgroundColor"))
        page_.locator("#theme").click()
    assert colours[0] == colours[2] == "rgb(255, 255, 255)" != colours[1]


ELSEWHERE = ("smallest for iOS", "fits a microcontroller of 64 kB", "fits no microcontroller of 64 kB")
GOALS = {
    "smallest": "size",
    "smallest to ship": "size with runtime",
    "fastest on this CPU": "speed",
    "most faithful": "same answers",
}


def test_the_page_recommends_what_the_terminal_recommends(opened, real_page):
    page_ = opened(real_page)
    cards = page_.locator(".card").all()
    assert len(cards) >= 3
    for card in cards:
        for name in ("model", "place"):
            page_.locator(f"#limits [name={name}]").select_option(card.get_attribute(f"data-{name}"))
        for pick in card.locator("p").all():
            title = pick.locator("b").inner_text()
            if title not in ELSEWHERE:  # which no slider asks for
                artifact, runtime, _ = pick.locator("a").inner_text().split("@")
                choose(page_, GOALS[title])
                assert ship(page_) == f"Ship {artifact} on {runtime}"


def test_a_bubble_and_an_address_open_an_artifacts_details(opened, real_page):
    page_ = opened(real_page, address="#torch_cnn-tflite-int8")
    dialog = page_.locator("dialog[open]")
    assert dialog.locator("h2").inner_text() == "torch_cnn-tflite-int8"
    assert dialog.locator(".chart svg").count() >= 4
    painted = "(c) => c.getContext('2d').getImageData(0, 0, 28, 28).data.some((v) => v > 0)"
    assert all(canvas.evaluate(painted) for canvas in dialog.locator("canvas").all())
    page_.keyboard.press("Escape")
    page_.locator("#scatter path[aria-roledescription=circle]").last.click(force=True)
    assert page_.locator("dialog[open]").count() == 1


def test_a_device_is_judged_by_its_own_rows_and_an_emulated_one_never_by_time(opened, build):
    page_ = opened(build((*ROWS, EMULATED_ROW)))
    page_.locator("#limits [name=place]").select_option("cortex-a53")
    assert ship(page_) == "Ship torch_cnn_small-torchscript-float32 on torch"
    assert "1 of 1 runs there" in page_.locator("#best").inner_text()
    assert page_.locator("[name=p50_ns_text]").inner_text() == "emulated"
    for goal, message in (("speed", "no times are taken there"), ("size with runtime", "was not measured")):
        choose(page_, goal)
        assert message in page_.locator("#best").inner_text()
    page_.wait_for_function("document.querySelector('#scatter').textContent.includes('no times are taken')")
    page_.get_by_role("radio", name="size and accuracy", exact=True).check()
    page_.wait_for_selector("#scatter path[aria-roledescription=circle]")
    page_.locator("#filter [name=place]").select_option("cortex-a53")
    assert shown(page_) == 1


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_or_hard_to_read(opened, real_page, scheme, width):
    page_ = opened(real_page, color_scheme=scheme, viewport={"width": width, "height": 844})
    for address in ("", "torch_cnn-tflite-int8"):
        page_.evaluate(f"location.hash = '{address}'")
        page_.wait_for_selector("dialog[open] .chart svg" if address else "#table")
        assert_accessible(page_)
