"""Records are written so that they can be read, and what is none is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.common import records
from models.common.environments import ROOT
from models.common.errors import DataError
from models.common.records import Count, Record, Sha256, Share
from tests.models.conftest import IRREGULAR, put


class Figures(Record, kw_only=True):
    name: str
    count: Count = 0
    share: Share | None = None
    sha256: Sha256 = ""
    samples: tuple[float, ...] = ()


def read(file: Path) -> Figures | None:
    return records.read(file, Figures, what="record", remedy="Make it again.")


def test_a_record_is_read_as_it_was_written(tmp_path):
    figures = Figures(name="é", count=3, share=0.5, samples=(1.5, 2.0))
    records.write(tmp_path / "a.json", figures)
    assert read(tmp_path / "a.json") == figures


@pytest.mark.parametrize(
    "field",
    [{"count": -1}, {"share": 1.5}, {"share": float("nan")}, {"samples": (float("inf"),)}, {"name": 3}],
    ids=str,
)
def test_what_could_not_be_read_is_not_written(tmp_path, field):
    with pytest.raises((ValueError, TypeError)):
        records.write(tmp_path / "a.json", Figures(**{"name": "a"} | field))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"name": null}', b'{"name": "a", "share": NaN}', b'{"name": "a", "share": 1e999}',
     b'{"name": "a", "count": 1.0}', b'{"name": "a", "count": true}', b'{"name": "\xff"}', b'{"x":' + b"[" * 100_000,
     b'{"name": "a", "count": 99999999999999999999999}'],
    ids=lambda content: repr(content[:30]),
)  # fmt: skip
def test_what_is_no_record_is_one_sentence_with_its_remedy(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json is no record \(.*\)\. Make it again\.") as caught:
        read(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", IRREGULAR)
def test_a_missing_file_is_nothing_and_what_is_no_regular_file_is_no_record(tmp_path, kind):
    assert read(tmp_path / "missing.json") is None
    put(kind, tmp_path / "a.json")
    with pytest.raises(DataError, match="no regular file"):
        read(tmp_path / "a.json")


def test_the_first_records_may_be_read_by_several_threads_at_once():
    """In a process of its own, for what breaks is the interpreter: msgspec shows others a half-made description."""
    script = """
import sys, threading
from models.common import records

sys.setswitchinterval(1e-6)

def read(kind, barrier):
    barrier.wait()
    records.decode(b'{"one": {"a": 1}, "more": [{"a": 1}]}', kind, name="a", what="record", remedy="")

for _ in range(50):
    class Inner(records.Record, kw_only=True):
        a: int

    class Outer(records.Record, kw_only=True):
        one: Inner
        more: tuple[Inner, ...]

    Outer.__annotations__ |= {"one": Inner, "more": tuple[Inner, ...]}
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=read, args=(Outer, barrier)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
