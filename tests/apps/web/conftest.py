"""The site of real artifacts, served, and pages of it in a real Chromium."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import programs
from tests.apps.web.strokes import Stroke

ROOT = Path(__file__).resolve().parents[3]
# every format and scheme of the smallest model, and the others' int8
CHOSEN = ("torch_cnn_small-*", "*-tflite-int8", "*-onnx-int8")
# what LiteRT's C++ prints to the console of any page
LITERT_SAYS = ("INFO: ", "WARNING: [npu_registry", "No available adapters", "Failed to create default WebGPU device")
BLOCKED = "Service Worker registration blocked by Playwright"


@dataclass(frozen=True, kw_only=True)
class Built:
    """The site, with what building it told."""

    folder: Path
    first_loads: tuple


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    return expect


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Built:
    """The site of the artifacts that are there."""
    from apps.web import build, catalogue, packages

    if not any((ROOT / "artifacts").glob("*.json")):
        programs.absent("needs artifacts: nox -s export")
    content = catalogue.gather(ROOT / "artifacts", ROOT / "results", CHOSEN)
    dist = tmp_path_factory.mktemp("web") / "dist"
    loads = build.build(dist, content, artifacts_folder=ROOT / "artifacts", node_modules=packages.install())
    return Built(folder=dist, first_loads=loads)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; gives its address. At the end open connections break, too."""
    from apps.web.serve import Site

    connections: list[socket.socket] = []

    class Leaving(Site):
        def process_request(self, request, client_address) -> None:
            connections.append(request)
            super().process_request(request, client_address)

    with Leaving(folder, "127.0.0.1", 0) as site:
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{site.port}/"
        site.shutdown()
        thread.join()
        for connection in connections:
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def address(built) -> Iterator[str]:
    with served(built.folder) as url:
        yield url


@pytest.fixture
def opened(address, new_context) -> Iterator[Callable]:
    """Return a function that opens the site with `picks`; what it asks other hosts for or complains of fails the test.

    `routes` replace answers of the server, by path, and keep the service worker from asking by itself; `expected` are
    pieces of console messages that are meant.
    """
    wrong: list[str] = []

    def open_page(*picks: str, routes=None, expected: tuple[str, ...] = (), url: str = address, **options):
        def hear(message) -> None:
            if message.type in ("error", "warning") and not any(
                p in message.text for p in (*LITERT_SAYS, BLOCKED, *expected)
            ):
                wrong.append(message.text)

        context = new_context(**({"service_workers": "block"} if routes else {}), **options)
        context.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((url, f"blob:{url}")) else None)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        if picks:
            chosen = ", ".join(f'{{id: "{id}"}}' for id in picks)
            page.add_init_script(
                f'localStorage.getItem("edgewise.picks") ?? localStorage.setItem("edgewise.picks", JSON.stringify([{chosen}]))'
            )
        for path, answer in (routes or {}).items():
            page.route(url + path, answer)
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    assert not wrong


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
