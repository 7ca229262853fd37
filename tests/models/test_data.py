"""MNIST and the digits, whatever their files hold, and images as networks take them: transposed, never reshaped."""

import gzip
import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from models import data, mirrors
from models.common.errors import DataError, EdgewiseError, UsageError
from models.images import network_input
from tests.models.conftest import memory, put


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No folder, an empty cache and a mirror that refuses connections."""
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirrors, "MIRRORS", ("http://127.0.0.1:9",))
    return tmp_path / "cache"


@pytest.fixture
def mirror(idx_folder, monkeypatch, offline) -> Iterator[Path]:
    """A real server of the four files, behind a mirror that refuses connections."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(idx_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # whoever has enough hangs up
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(mirrors, "MIRRORS", (*mirrors.MIRRORS, f"http://127.0.0.1:{server.server_port}"))
        yield idx_folder
        server.shutdown()


def test_mnist_is_read_from_the_folder_compressed_or_not(idx_folder):
    digits = data.load("test")
    assert (digits.name, digits.images.shape, digits.labels.shape) == ("mnist", (100, 28, 28), (100,))
    assert not digits.images.flags.writeable
    for file in idx_folder.glob("*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert len(data.load("train")) == 700


HARMS = {
    "truncated": (lambda raw: raw[:-20], "not a whole gzip file"),
    "empty": (lambda raw: b"", "is not MNIST's"),
    "not gzip": (lambda raw: b"not gzip at all", "not a whole gzip file"),
    "a flipped byte": (lambda raw: raw[:40] + bytes([raw[40] ^ 255]) + raw[41:], "not a whole gzip|is not MNIST's"),
    "another pixel": (lambda raw: gzip.compress(gzip.decompress(raw)[:-1] + b"\x07"), "is not MNIST's"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_broken_files_are_an_error_and_never_other_data(idx_folder, harm):
    """The old code waited for ever at a FIFO, and read a device until memory was full."""
    file = idx_folder / "t10k-images-idx3-ubyte.gz"
    change, message = HARMS[harm]
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match=message):
        data.load("test")
    file.unlink()
    with pytest.raises(DataError, match=f"{file.name} is not there"):
        data.load("test")
    put("fifo", file)
    with pytest.raises(DataError, match="cannot be read: it is a FIFO, not a regular file. Replace or delete it."):
        data.load("test")


@pytest.mark.parametrize(("sparse", "message"), [(False, "more than 10,008 bytes"), (True, "is larger than")])
def test_a_file_that_unpacks_to_more_than_mnist_is_not_unpacked(idx_folder, sparse, message):
    file = idx_folder / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(gzip.compress(bytes(50_000_000)))
    if sparse:
        os.truncate(file, 1 << 40)
    with memory(10_000_000), pytest.raises(DataError, match=message):
        data.load("test")


@pytest.mark.parametrize("folder", ["x" * 300, "loop"])
@pytest.mark.parametrize("variable", ["MNIST_DIR", "EDGEWISE_CACHE"])
def test_a_folder_that_cannot_exist_is_one_sentence(offline, monkeypatch, tmp_path, folder, variable):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setenv(variable, str(tmp_path / folder))
    with pytest.raises(EdgewiseError, match="cannot be read|is not there|cannot be downloaded|Cannot write"):
        data.load("test", "mnist")


def test_a_mirror_that_fails_is_passed_over_and_downloads_are_kept_until_they_break(
    mirror, offline, monkeypatch, capsys
):
    assert data.load("test").name == "mnist"
    cached = offline / "mnist"
    assert {file.name for file in cached.iterdir()} == {"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    with monkeypatch.context() as without_mirrors:
        without_mirrors.setattr(mirrors, "MIRRORS", ())
        data.load.cache_clear()
        assert data.load("test").name == "mnist"
    (cached / "t10k-images-idx3-ubyte.gz").write_bytes(b"half")
    data.load.cache_clear()
    assert data.load("test").name == "mnist"
    assert "Downloading it again" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "message"), [(None, "is not MNIST's"), (1 << 30, "sends more than MNIST has")])
def test_a_mirror_with_other_content_or_without_end_is_refused_and_nothing_is_left(mirror, offline, size, message):
    file = mirror / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(b"something else"))
    if size:
        os.truncate(file, size)
    with pytest.raises(data.MnistUnavailable, match=message):
        data.load("test", "mnist")
    assert list((offline / "mnist").iterdir()) == []


def test_without_files_and_network_the_digits_stand_in_loudly_but_not_for_mnist_by_name(offline, capsys):
    assert data.load("test").name == "digits"
    assert "using scikit-learn's digits, not MNIST" in capsys.readouterr().err
    with pytest.raises(data.MnistUnavailable, match="no connection.*--data digits"):
        data.load("test", "mnist")


def test_digits_lie_in_mnists_frame_and_their_parts_do_not_overlap_and_an_unknown_data_set_suggests_the_known():
    train, test = data.load("train", "digits"), data.load("test", "digits")
    assert (len(train), len(test)) == (797, 1000)
    assert (test.images.dtype, test.images.shape) == (np.uint8, (1000, 28, 28))
    grey = network_input(test.images, "hw")
    rows = (grey.sum(2) * np.arange(28)).sum(1) / grey.sum((1, 2))
    assert np.abs(rows - 13.5).max() < 1.5
    with pytest.raises(UsageError, match="Did you mean mnist"):
        data.load("test", "mnits")


def test_bytes_become_floats_from_0_to_1_floats_stay_and_channels_are_transposed():
    assert network_input(np.array([[[0, 255]]], np.uint8), "hw").ravel().tolist() == [0.0, 1.0]
    floats = np.array([[[-2.0, 300.0]]], np.float32)
    assert network_input(floats, "hwc").ravel().tolist() == [-2.0, 300.0]
    assert network_input(floats, "chw").dtype == np.float32
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    arranged = network_input(images, "chw")
    assert arranged.shape == (2, 3, 4, 5)
    assert np.array_equal(arranged[1, 2], images[1, :, :, 2].astype(np.float32) / np.float32(255))
    assert not np.array_equal(arranged.ravel(), network_input(images, "hwc").ravel())


@pytest.mark.parametrize(("layout", "shape"), [("hw", (1, 4, 5)), ("hwc", (1, 4, 5, 1)), ("chw", (1, 1, 4, 5))])
def test_grey_images_have_one_channel_or_none_and_colours_go_only_where_channels_are(layout, shape):
    assert network_input(np.zeros((1, 4, 5), np.uint8), layout).shape == shape
    assert network_input(np.zeros((1, 4, 5, 1), np.uint8), layout).shape == shape
    if layout == "hw":
        with pytest.raises(ValueError, match="no channels, the images have 3"):
            network_input(np.zeros((1, 4, 5, 3), np.uint8), layout)
