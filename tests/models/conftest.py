"""A user's folder of networks, and its images."""

from __future__ import annotations

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
