import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.common import files
from models.common.errors import DataError, StorageError
from tests.models.conftest import IRREGULAR, memory, put


def written(path: Path, *, raising: BaseException) -> None:
    with files.whole(path) as temporary:
        temporary.write_bytes(b"half of the new")
        raise raising


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "new" / "a.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        written(path, raising=KeyboardInterrupt())
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == {"a.bin": b"old"}


@pytest.mark.parametrize("before", ["0/graph", "."], ids=["folder", "file"])
def test_a_folder_replaces_what_has_its_name(tmp_path, before):
    path = tmp_path / "model.savedmodel"
    files.write_bytes(path / before, b"one")
    with files.whole(path) as temporary:
        files.write_bytes(temporary / "1" / "graph", b"two")
    assert [file.read_bytes() for file in path.rglob("graph")] == [b"two"]
    assert files.size_bytes(path) == 3


def test_what_the_system_refuses_is_said_but_what_a_block_cannot_read_is_not_blamed_on_what_it_writes(tmp_path):
    for number, message in ((errno.ENOSPC, "the disk is full"), (errno.EIO, "Cannot write .*: as the system says it")):
        with pytest.raises(StorageError, match=message):
            written(tmp_path / "a.bin", raising=OSError(number, "as the system says it"))
    missing = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "input"))
    with pytest.raises(FileNotFoundError):
        written(tmp_path / "a.bin", raising=missing)


def test_the_digest_of_a_folder_sees_names_and_contents(tmp_path):
    for name in ("a", "b"):
        files.write_bytes(tmp_path / name / "x" / "f", b"1")
    same = files.sha256(tmp_path / "a")
    assert files.sha256(tmp_path / "b") == same
    (tmp_path / "b" / "x" / "f").rename(tmp_path / "b" / "x" / "g")
    assert files.sha256(tmp_path / "b") != same


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/proc/nowhere/a.json", "does not exist and cannot be made"),
        ("/proc/a.json", "does not exist and cannot be made"),
        ("{tmp}/" + "x" * 300, "a name of that path is too long"),
        ("{tmp}/" + "x" * 300 + "/a.json", "a name of that path is too long"),
        ("{tmp}/loop/a.json", "links lead in a circle|a part of the path is a file"),
        ("{tmp}/folder", "a folder has that name"),
        ("", "names no file"),
        (".", "names no file"),
        ("/", "names no file"),
        ("{tmp}/a\0b", "names no file"),
        ("{tmp}/fifo", "it is a FIFO"),
        ("{tmp}/device", "it is a device"),
        ("{tmp}/device/a.bin", "a part of the path is a file|not permitted"),
        ("{tmp}/folder/precious/a.bin", "a part of the path is a file|not permitted"),
    ],
)
def test_whatever_cannot_be_written_is_one_sentence_and_changes_nothing(tmp_path, path, message):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_bytes(b"1")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/null")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match=message) as caught:
        files.write_bytes(Path(path.format(tmp=tmp_path)), b"content")
    assert "Choose" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["n" * 255, "n" * 251 + ".bin", "n." + "b" * 253, "ü" * 127, "report.tmp.html", "a.tmp"], ids=len
)
def test_every_name_that_fits_can_be_written_and_its_leftover_is_swept(tmp_path, name):
    files.write_bytes(tmp_path / name, b"1")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    (tmp_path / name).unlink()
    with files.whole(tmp_path / name) as temporary:
        dead = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", ".99999999."))
        dead.write_bytes(b"half")
        temporary.write_bytes(b"2")
    files.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_no_file_of_json_holds_what_json_has_not(tmp_path, number):
    with pytest.raises(DataError, match="not finite"):
        files.write_json(tmp_path / "a.json", {"figures": [1.0, {"top1": number}]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", IRREGULAR)
def test_only_regular_files_of_bounded_size_are_read_in_memory_for_the_file_and_not_for_its_limit(tmp_path, kind):
    put(kind, tmp_path / "irregular")
    with pytest.raises(OSError, match="not a regular file"):
        files.read_bytes(tmp_path / "irregular", 4)
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(OSError, match="larger than 4 bytes"):
        files.read_bytes(tmp_path / "file", 4)
    with memory(1 << 20):
        assert files.read_bytes(tmp_path / "file", 1 << 28) == b"12345"


def test_two_that_want_the_same_made_make_it_once(tmp_path):
    target, runs = tmp_path / "cache" / "bundle", []

    def make() -> None:
        with files.by_one(target) as missing:
            if missing:
                time.sleep(0.05)
                target.mkdir()
                runs.append(1)

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(make)
    assert len(runs) == 1
