"""What the page says: its content, without a browser."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import asdict, replace
from html.parser import HTMLParser

import numpy as np

from device_tests import report
from device_tests.explain import run as explain
from device_tests.explain.receipt import Operator, Part, Receipt
from export import artifact as artifacts
from models import files

MODEL = "torch_cnn_small"
ID = f"{MODEL}-torchscript-float32"


class Elements(HTMLParser):
    """Collects the start tags of a page with their attributes, and the text of its data block."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self._in_data = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_data(self, data):
        if self._in_data:
            self.data += data
            self._in_data = False


def test_nothing_on_the_page_comes_from_elsewhere(build):
    for tag, attributes in Elements(build().read_text()).found:
        for name in ("src", "href", "action", "srcset"):
            assert re.match(r"#|data:", attributes.get(name) or "#"), (tag, attributes)


def test_what_a_runtime_said_is_text_and_never_markup(build, evil):
    page_ = Elements(build().read_text())
    assert not any("onerror" in attributes for _, attributes in page_.found)
    assert sum(tag == "script" for tag, _ in page_.found) == 3
    assert evil not in build().read_text()
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &amp;" in build().read_text()


def test_every_row_is_in_the_table_and_in_the_data(build, rows):
    page_ = Elements(build().read_text())
    ids = {attributes.get("id") for tag, attributes in page_.found if tag == "tr"}
    assert {row.id for row in rows} <= ids
    data = json.loads(page_.data)
    assert [row["id"] for row in data["rows"]] == [r.id for g in report.group(rows, 0.1) for r in g.rows]


def test_flipped_digits_are_the_references_own_pictures(build, folders):
    with np.load(folders.bench.artifacts / f"{MODEL}.reference.npz") as reference:
        expected = reference["images"][7].tobytes()
    assert b64decode(json.loads(Elements(build().read_text()).data)["pictures"][MODEL]["7"]) == expected


def test_digits_are_never_taken_for_mnist(build, rows):
    assert "NOT MNIST" not in build().read_text()
    assert "<strong>NOT MNIST.</strong>" in build((replace(rows[1], dataset={"name": "digits"}),)).read_text()


def test_quick_results_say_so(build, rows):
    assert "Quick results." not in build().read_text()
    assert "1 of 1 cells were judged on fewer images" in build((replace(rows[1], quick=True),)).read_text()


def test_what_was_not_measured_is_not_a_zero(build, rows):
    assert '<dt>instructions</dt><dd><span class="none">not measured' in build().read_text()
    counted = replace(rows[1], instructions=1_234_567, instructions_cpu="a CPU")
    assert "<dt>instructions</dt><dd>1,234,567 per inference on a CPU" in build((counted,)).read_text()


def test_a_receipt_is_shown_as_long_as_it_holds(build, folders):
    artifact = artifacts.read(artifacts.sidecar_path(folders.bench.artifacts, ID))
    known = {"artifact": ID, "runtime": "torch", "versions": {}, "library": "a library", "instruction_sets": (),
             "operators": (Operator(name="conv", integer=True, taken=True, macs=99), Operator(name="relu")),
             "parts": (Part(name="conv.weight", section="tensors", size_bytes=1_234),),
             "delegate": "XNNPACK", "defects": ("<took little>",)}  # fmt: skip
    file = folders.bench.results / "receipts" / f"{ID}@torch.json"
    files.write_json(file, asdict(Receipt(key="of another file", **known)))
    assert "Execution receipt" not in build().read_text()
    files.write_json(file, asdict(Receipt(key=explain.key(artifact, "torch"), **known)))
    text = build().read_text()
    assert "XNNPACK: 50 % of the operators, 100.0 % of the MACs" in text
    assert "&lt;took little&gt;" in text
    assert "1,234" in text


def test_the_page_stays_small_enough_to_mail(build):
    assert build().stat().st_size < 3_000_000
