"""Rows as workers give them, and the page that is made of them."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from device_tests.report.groups import group
from device_tests.report.page import page
from device_tests.results import shipping as footprints
from tests.device_tests.conftest import ENVIRONMENT, measured

FLIPS = ({"index": 7, "label": 3, "ours": 5, "theirs": 3, "our_margin": 0.1, "their_margin": 0.2},)
EVIL = "</script><img src=x onerror=alert(1)> & 'quotes'"  # what a runtime could say to break the page
EMULATED = {"device": "cortex-a53", "latencies_ns": (), "load_ns": None, "instructions": 5_000_000,
            "same": 990, "compared": 1_000, "difference": 1e-3, "first_other": 7}  # fmt: skip
NOTHING = {"size_bytes": None, "total": None, "latencies_ns": (), "dataset": {}, "environment": {}}


class Elements(HTMLParser):
    """Collects the start tags of a page with their attributes, and the text of its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts.append(data)


def data_of(page: str) -> dict:
    """Return what the page's own code reads."""
    return json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])


MOMENT = {"environment": ENVIRONMENT | {"runtime": {"torch": "2"}}}
ROWS = (
    measured(format_name="eager", size_bytes=90_000, **MOMENT),
    measured(size_bytes=100_000, flips=FLIPS, agree=9_999, **MOMENT),
    measured("dynamic_int8", size_bytes=50_000, latencies_ns=(60_000, 70_000), lost=90, correct=9_810),
    measured("int8", size_bytes=20_000, latencies_ns=(90_000,), lost=9, gained=1, agree=9_980, correct=9_892),
    measured("int4", outcome="unsupported", reason=EVIL, **NOTHING),
    measured("float32", "litert", "tflite", size_bytes=30_000, latencies_ns=(75_000,)),
    measured(artifact="keras_cnn-tflite-float32", runtime="litert", size_bytes=400_000, latencies_ns=(80_000,)),
)
EMULATED_ROW = replace(ROWS[1], **EMULATED)


@pytest.fixture
def build(folders, tmp_path):
    """Return a function that writes the page of these rows, with the artifact and reference of `folders`."""

    def written(some=ROWS) -> Path:
        groups = group(some, 0.1, footprints.read(folders.bench.results / footprints.FILE))
        return page.write(groups, 0.1, tmp_path / "report", artifacts_folder=folders.bench.artifacts,
                          results_folder=folders.bench.results)  # fmt: skip

    return written
