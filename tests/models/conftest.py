"""A user's folder of networks, and its images; what is no regular file."""

import os
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from models import networks

IMAGES, LABELS = np.zeros((5, 8, 6, 3), np.uint8), np.array([0, 1, 2, 3, 0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one network, `net`, which every command takes for the user's."""
    monkeypatch.setenv(networks.VARIABLE, str(tmp_path))
    (tmp_path / "net.pt2").write_bytes(b"not read to be listed")
    return tmp_path


def write(folder: Path, name: str = "net.npz", **arrays: np.ndarray) -> None:
    """Write images and labels, with other arrays in their place or beside them."""
    np.savez(folder / name, **({"images": IMAGES, "labels": LABELS} | arrays))


IRREGULAR = ("fifo", "socket", "folder", "device")


def put(kind: str, path: Path) -> None:
    """Put what is no regular file at a path."""
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        {"fifo": os.mkfifo, "folder": os.mkdir, "device": partial(os.symlink, "/dev/zero")}[kind](path)


@contextmanager
def memory(most_bytes: int) -> Iterator[None]:
    """Hold what the block allocates to so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
