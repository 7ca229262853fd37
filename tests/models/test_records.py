"""Records are written so that they can be read, and what is none is one sentence."""

from __future__ import annotations

import os

import pytest

from models import records
from models.errors import DataError
from models.records import Count, Record, Sha256, Share


class Figures(Record, kw_only=True):
    name: str
    count: Count = 0
    share: Share | None = None
    sha256: Sha256 = ""
    samples: tuple[float, ...] = ()


def test_a_record_is_read_as_it_was_written(tmp_path):
    figures = Figures(name="é", count=3, share=0.5, samples=(1.5, 2.0))
    records.write(tmp_path / "a.json", figures)
    assert records.read(tmp_path / "a.json", Figures, what="record", remedy="Make it again.") == figures


@pytest.mark.parametrize(
    "changes",
    [
        {"count": -1},
        {"share": 1.5},
        {"share": float("nan")},
        {"samples": (float("inf"),)},
        {"sha256": "x"},
        {"name": 3},
    ],
    ids=str,
)
def test_what_could_not_be_read_is_not_written(tmp_path, changes):
    with pytest.raises((ValueError, TypeError)):
        records.write(tmp_path / "a.json", Figures(**{"name": "a"} | changes))
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
        records.read(tmp_path / "a.json", Figures, what="record", remedy="Make it again.")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_nothing_and_a_folder_or_fifo_is_no_record(tmp_path):
    ask = {"what": "record", "remedy": "Make it again."}
    assert records.read(tmp_path / "missing.json", Figures, **ask) is None
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("fifo.json", "folder.json"):
        with pytest.raises(DataError, match="no regular file"):
            records.read(tmp_path / name, Figures, **ask)
