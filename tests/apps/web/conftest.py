"""The site of real artifacts, served, pages of it in a real Chromium, and what tests do with these."""

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from apps.web import build, catalogue, packages
from apps.web.serve import Site
from models import networks
from models.common.environments import ROOT
from tests import programs
from tests.apps.web.strokes import Stroke
from tests.device_tests.conftest import MODEL, need_environment, save_artifact, save_reference

INT8, ONNX, PTE = f"{MODEL}-tflite-int8", f"{MODEL}-onnx-int8", f"{MODEL}-executorch-int8"
LABELS = np.arange(30, dtype=np.uint8) % 10
# every format and scheme of the smallest model, and the others' int8
CHOSEN = ("torch_cnn_small-*", "*-tflite-int8", "*-onnx-int8")
# of the networks of `colours`
EXPORTED = ("*-tflite-float32", "*-onnx-float32", "many-onnx-int8", "seven-tflite-int8", "seven-tflite-int8_io")
# what LiteRT's C++ prints to the console of any page
LITERT_LOGS = ("INFO: ", "WARNING: [npu_registry", "No available adapters", "Failed to create default WebGPU device")
BLOCKED = "Service Worker registration blocked by Playwright"
VIEWPORTS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 780}}
# what an artifact answers to the reference images of its model
ANSWER = """async (id) => {
  const { load } = await import("./artifacts.js");
  const { judge, packed, reference } = await import("./benchmark.js");
  const { artifacts, groups } = await (await fetch("catalogue.json")).json();
  const entry = artifacts.find((entry) => entry.id === id);
  const artifact = await load(entry, "wasm");
  const dataset = await reference(entry.model, groups[entry.group]);
  const { logits, correct, agree } = await judge(artifact, dataset, () => {});
  artifact.close();
  return { logits: await packed(logits.buffer), correct, agree };
}"""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A site, with what building it told."""

    folder: Path
    first_loads: tuple[build.FirstLoad, ...]


def build_site(dist: Path, exported: Path, results: Path, patterns: tuple[str, ...] = ()) -> Built:
    """Build the site of exported artifacts with npm's own packages."""
    content = catalogue.gather(exported, results, patterns)
    loads = build.build(dist, content, artifacts_folder=exported, node_modules=packages.install())
    return Built(folder=dist, first_loads=loads)


@pytest.fixture
def folder(tmp_path) -> Path:
    """An artifacts folder: two artifacts that a browser runs, one that none does, and their reference."""
    artifacts_folder = tmp_path / "artifacts"
    images = np.zeros((30, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(30)
    save_reference(artifacts_folder, images=images, labels=LABELS, logits=np.eye(10, dtype=np.float32)[LABELS])
    for id, size in ((INT8, 300), (ONNX, 200), (PTE, 100)):
        save_artifact(artifacts_folder, np.zeros(size, np.uint8), f"{id}.{id.split('-')[1]}")
    return artifacts_folder


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


@pytest.fixture(scope="session")
def exported() -> Path:
    """The artifacts that are there."""
    if not any((ROOT / "artifacts").glob("*.json")):
        programs.absent("needs artifacts: nox -s export")
    return ROOT / "artifacts"


@pytest.fixture(scope="session")
def built(tmp_path_factory, exported) -> Built:
    """The site of the artifacts that are there."""
    return build_site(tmp_path_factory.mktemp("web") / "dist", exported, ROOT / "results", CHOSEN)


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Serve a folder on a free port of this machine. At the end open connections break, too."""
    with closing(Site(folder, "127.0.0.1", 0)) as site:
        thread = threading.Thread(target=site.run, daemon=True)
        thread.start()
        yield site
    thread.join()


@pytest.fixture(scope="session")
def address(built) -> Iterator[str]:
    with served(built.folder) as site:
        yield site.url


@pytest.fixture
def opened(request, new_context) -> Iterator[Callable]:
    """Return a function that opens the zoo's site, or the one at `url`, with `picks`; what it asks other hosts for or complains of fails the test.

    `routes` replace answers of the server, by path, and keep the service worker from asking by itself; `expected` are
    pieces of console messages that are meant.
    """
    wrong: list[str] = []

    def open_page(*picks: str, routes=None, expected: tuple[str, ...] = (), url: str = "", **options):
        url = url or request.getfixturevalue("address")
        meant = (*LITERT_LOGS, BLOCKED, *expected)

        def hear(message) -> None:
            if message.type in ("error", "warning") and not any(part in message.text for part in meant):
                wrong.append(message.text)

        context = new_context(**({"service_workers": "block"} if routes else {}), **options)
        context.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((url, f"blob:{url}")) else None)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        if picks:
            picked = json.dumps(json.dumps([{"id": id} for id in picks]))
            page.add_init_script(f'localStorage["edgewise.picks"] ??= {picked}')
        for path, response in (routes or {}).items():
            page.route(url + path, response)
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    assert not wrong


@pytest.fixture
def page(opened):
    """The zoo's site with one artifact."""
    return opened(INT8)


@pytest.fixture(params=[(scheme, name) for scheme in ("light", "dark") for name in VIEWPORTS], ids=" ".join)
def window(request) -> dict:
    """The options of `opened` for each window in which the page must be readable."""
    scheme, name = request.param
    return {"color_scheme": scheme, "viewport": VIEWPORTS[name]}


@pytest.fixture(scope="session")
def own(tmp_path_factory) -> Iterator[Site]:
    """The site of the networks of `colours`, made of files as a user has them; their artifacts lie beside it."""
    exporter = need_environment("export")
    folder = tmp_path_factory.mktemp("own") / "networks"
    only = [word for glob in EXPORTED for word in ("--only", glob)]
    for command in (("tests.apps.web.colours", str(folder)), ("export", "--models", str(folder), *only)):
        done = subprocess.run([str(exporter), "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(networks.VARIABLE, str(folder))
        build_site(folder / "dist", folder / "artifacts", folder / "results")
    with served(folder / "dist") as site:
        yield site


def surface(page) -> Callable[[tuple[float, float]], tuple[float, float]]:
    """Return what turns shares of the drawing surface into pixels of the window."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    return lambda point: (box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"])


def draw(page, strokes: list[Stroke]) -> None:
    """Draw with the mouse."""
    at = surface(page)
    for stroke in strokes:
        page.mouse.move(*at(stroke[0]))
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*at(point), steps=3)
        page.mouse.up()


def touch(page, strokes: list[Stroke]) -> None:
    """Draw with a finger, through the browser's own input."""
    at, session = surface(page), page.context.new_cdp_session(page)

    def event(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y} for x, y in map(at, points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    for stroke in strokes:
        event("touchStart", stroke[0])
        for point in stroke[1:]:
            event("touchMove", point)
        event("touchEnd")


def assert_checks(page, expect) -> None:
    """Hold that every artifact of the first card passes its golden self-check."""
    for id in page.locator("select.artifact option").evaluate_all("all => all.map((o) => o.value)"):
        page.locator("select.artifact").select_option(id)
        expect(page.locator(".facts")).to_contain_text("loaded in")
        expect(page.locator(".check"), id).to_have_class(re.compile("good"))


def answering(content: object) -> Callable:
    """Return a route of a page that answers with JSON."""
    return lambda route: route.fulfill(json=content)


def benchmark(page, folder: Path) -> tuple[Path, list[dict]]:
    """Run the benchmark and save its figures; return the file and its rows, read as strictly as JSON is defined."""
    page.locator("#measure").click()
    page.wait_for_selector("#save:visible", timeout=120_000)
    with page.expect_download() as download:
        page.locator("#save").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file, json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
