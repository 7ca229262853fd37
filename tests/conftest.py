"""What several test files start from: small data sets, archives and folders of their own."""

import gzip
import hashlib
import signal
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import pytest

from models import data
from tests import programs
from tests.noxfiles import noxfile, run_nox  # noqa: F401 - fixtures

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update")  # fmt: skip

File = TypeVar("File", Path, IO[bytes])

# A shell starts what runs in its background with SIGINT ignored, and so would be all that the tests start: Ctrl-C would
# never reach it, and they would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        programs.mark(item)


@pytest.hookimpl(tryfirst=True)  # before fixtures start anything
def pytest_runtest_setup(item: pytest.Item) -> None:
    programs.require(tuple(name for mark in item.iter_markers("needs") for name in mark.args))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's own Chromium, which asks nobody anything."""
    path = programs.find("chromium")
    return {**browser_type_launch_args, "executable_path": path, "args": list(CHROMIUM)}


def zipped(file: File, members: Mapping[str, bytes | str]) -> File:
    """Write a zip archive of members by name into a file, and return the file."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def assert_accessible(page) -> None:
    """Hold that nothing on a page is cut off, unlabelled or hard to read."""
    from axe_playwright_python.sync_playwright import Axe

    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    targets = page.locator("button:visible, select:visible, label.button:visible")
    heights = targets.evaluate_all("all => all.map((b) => b.getBoundingClientRect().height)")
    assert min(heights) >= 24  # WCAG 2.2, 2.5.8


@pytest.fixture(autouse=True)
def _fresh_data():
    """Data sets are kept for the process; a test that changes where they come from must not see another's."""
    data.load.cache_clear()
    yield
    data.load.cache_clear()


@pytest.fixture
def idx_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of four small gzipped IDX files that pass for MNIST, with MNIST_DIR pointing there."""
    rng = np.random.default_rng(0)
    parts = {name: (rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n).astype(np.uint8))
             for name, n in (("train", 700), ("t10k", 100))}  # fmt: skip
    return pass_for_mnist(tmp_path / "mnist", parts, monkeypatch)


def pass_for_mnist(folder: Path, parts: dict[str, tuple[np.ndarray, ...]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write images uint8 [N,28,28] and labels uint8 [N] as gzipped IDX files, and let them count as MNIST."""
    folder.mkdir()
    checksums = {}
    for prefix, (images, labels) in parts.items():
        for name, content in (
            (f"{prefix}-images-idx3-ubyte", struct.pack(">IIII", 2051, len(images), 28, 28) + images.tobytes()),
            (f"{prefix}-labels-idx1-ubyte", struct.pack(">II", 2049, len(labels)) + labels.tobytes()),
        ):
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            checksums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(data, "MNIST_SHA256", checksums)
    monkeypatch.setenv("MNIST_DIR", str(folder))
    return folder
