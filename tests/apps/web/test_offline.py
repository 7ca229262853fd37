"""What makes the page an app: kept for offline use, updated by a new export, installable, small at first."""

import re
import shutil

import pytest

from apps.web import build
from tests.apps.web.conftest import INT8, ONNX, draw, served
from tests.apps.web.strokes import DIGITS
from tests.conftest import assert_accessible

pytestmark = pytest.mark.browser

FIRST_LOAD_BYTES = 3_500_000


def test_after_one_visit_everything_that_was_picked_works_offline(built, opened, expect):
    with served(built.folder) as site:
        page = opened(INT8, url=site.url)
        page.locator("#add").click()
        page.locator(".card").last.locator("select.artifact").select_option(ONNX)
        expect(page.locator(".check.good")).to_have_count(2)
        expect(page.locator("#offline")).to_have_text("Works offline")
    page.reload()  # the server is gone
    page.wait_for_selector("html[data-ready]", state="attached")
    draw(page, DIGITS[6])
    expect(page.locator(".label")).to_have_text(["6", "6"])
    expect(page.locator("#offline")).to_have_text("Works offline")


def test_the_promise_is_taken_back_as_soon_as_something_else_is_picked(page, expect):
    expect(page.locator("#offline")).to_have_text("Works offline")
    status = page.locator(".card select.artifact").evaluate(
        """(picked, id) => {
          picked.value = id;
          picked.dispatchEvent(new Event("change", { bubbles: true }));
          return document.querySelector("#offline").textContent;
        }""",
        ONNX,
    )
    assert status == "Not all is kept for offline use yet"
    expect(page.locator("#offline")).to_have_text("Works offline")


def test_offline_use_is_not_promised_where_it_cannot_be_kept(opened, expect):
    page = opened(INT8, service_workers="block")
    expect(page.locator("#offline")).to_have_text(re.compile("Not kept for offline use"))
    expect(page.locator("#problems")).to_be_empty()


def test_offline_what_was_not_picked_is_told_and_the_rest_goes_on(built, opened, expect):
    with served(built.folder) as site:
        page = opened(INT8, url=site.url, expected=("Failed to load resource",))
        expect(page.locator("#offline")).to_have_text("Works offline")
    page.locator("#add").click()
    expect(page.locator(".card").last.locator(".state.bad")).to_contain_text("not kept for offline use")
    draw(page, DIGITS[7])
    expect(page.locator(".label")).to_have_text(["7", "–"])


def test_a_new_export_is_offered_and_taken(built, opened, expect, tmp_path):
    folder = tmp_path / "site"
    shutil.copytree(built.folder, folder, ignore=shutil.ignore_patterns("*.br", "*.gz"))
    with served(folder) as site:
        page = opened(INT8, url=site.url)
        expect(page.locator("#offline")).to_have_text("Works offline")
        for name in ("sw.js", "catalogue.json"):  # as another build writes them
            content = (folder / name).read_text()
            old = re.search(r'(?:VERSION = |"version": )"(\w{12})"', content).group(1)
            (folder / name).write_text(content.replace(old, "0123456789ab"))
        page.reload()
        expect(page.locator("#update")).to_be_visible()
        page.locator("#reload").click()
        expect(page.locator("#update")).to_be_hidden()
        expect(page.locator("#offline")).to_have_text("Works offline")
        assert page.evaluate("caches.keys()") == ["edgewise-0123456789ab"]


def test_the_page_can_be_installed(page, expect):
    expect(page.locator("#offline")).to_have_text("Works offline")
    session = page.context.new_cdp_session(page)
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {error["errorId"] for error in errors} <= {"in-incognito"}  # as every page of a test is
    manifest = session.send("Page.getAppManifest")
    assert not manifest["errors"]
    sizes = page.evaluate(
        """async () => {
          const manifest = await (await fetch("manifest.webmanifest")).json();
          const size = async (icon) => { const image = new Image(); image.src = icon.src; await image.decode();
            return [icon.sizes, `${image.naturalWidth}x${image.naturalHeight}`]; };
          return Promise.all(manifest.icons.map(size));
        }"""
    )
    assert [declared for declared, _ in sizes] == ["192x192", "512x512", "512x512"]
    assert all(declared == actual for declared, actual in sizes)


def test_the_first_load_is_small_and_all_of_it_is_counted(built, opened, expect):
    (litert,) = (load for load in built.first_loads if load.runtime == "litertjs")
    assert litert.artifact == INT8
    assert max(litert.sizes[".br"], litert.sizes[".gz"]) < FIRST_LOAD_BYTES
    page = opened()
    expect(page.locator("#offline")).to_have_text("Works offline")
    paths = "performance.getEntriesByType('resource').map((e) => new URL(e.name).pathname.slice(1))"
    requested = {*page.evaluate(paths)} - {"sw.js"}
    counted = {*build.shell(), *build.of_runtime("litertjs"), f"artifacts/{INT8}.tflite", f"artifacts/{INT8}.json"}
    assert requested <= counted


def test_nothing_is_cut_off_unlabelled_or_hard_to_read(opened, expect, window):
    page = opened(INT8, "keras_cnn-tflite-int8", ONNX, **window)
    draw(page, DIGITS[5])
    expect(page.locator(".label")).to_have_text(["5"] * 3)
    page.locator("#refused summary").click()
    assert_accessible(page)
