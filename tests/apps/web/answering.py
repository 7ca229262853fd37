"""What tests take from the page and answer it: logits on reference images, the file of a benchmark, a server's JSON."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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


def unpacked(packed: str, classes: int = 10) -> np.ndarray:
    """Return logits float32 [N,K] that the page or the worker packed."""
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<f4").reshape(-1, classes)


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
