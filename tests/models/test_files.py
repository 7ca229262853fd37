from __future__ import annotations

import errno

import pytest

from models import files
from models.errors import StorageError


def test_a_file_is_written_whole(tmp_path):
    files.write_bytes(tmp_path / "new" / "a.bin", b"1234")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write():
        with files.whole(path) as temporary:
            temporary.write_bytes(b"half of the ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.bin": b"old"}


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "model.savedmodel"
    for content in (b"one", b"two"):
        with files.whole(path) as temporary:
            (temporary / "1").mkdir(parents=True)
            (temporary / "1" / "graph").write_bytes(content)
    assert (path / "1" / "graph").read_bytes() == b"two"
    assert files.size_bytes(path) == 3


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the file system is read-only")]
)
def test_a_full_or_read_only_disk_says_so(tmp_path, number, says):
    def write():
        with files.whole(tmp_path / "a.bin"):
            raise OSError(number, "as the system says it")

    with pytest.raises(StorageError, match=says):
        write()


def test_a_folder_below_a_file_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="a part of the path is a file|not permitted"):
        files.write_bytes(tmp_path / "file" / "a.bin", b"")


def test_the_digest_of_a_folder_sees_names_and_contents(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1")):
        (tmp_path / name / "x").mkdir(parents=True)
        (tmp_path / name / "x" / "f").write_bytes(content)
    same = files.sha256(tmp_path / "a")
    assert files.sha256(tmp_path / "b") == same
    (tmp_path / "b" / "x" / "f").rename(tmp_path / "b" / "x" / "g")
    assert files.sha256(tmp_path / "b") != same


@pytest.mark.parametrize("folder", ["/proc/edgewise/results", "a" * 300])
def test_a_folder_that_cannot_be_made_is_said(folder, tmp_path):
    with pytest.raises(StorageError, match=r"Cannot write .*(cannot be made there|too long)"):
        files.write_bytes(tmp_path / folder / "file", b"")


def test_a_missing_file_that_is_read_meanwhile_is_not_blamed_on_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError), files.whole(tmp_path / "folder" / "file"):
        (tmp_path / "source").read_bytes()
