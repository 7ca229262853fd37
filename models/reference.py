"""Reference answers: evaluation images, labels and the float network's logits in one file that needs no framework."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import files
from models.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What every artifact of a model is judged by: `images` uint8 [N,28,28], `labels` uint8 [N], `logits` float32 [N,10]."""

    model: str
    dataset: str
    dataset_sha256: str
    checkpoint_sha256: str
    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    @property
    def margins(self) -> np.ndarray:
        """The float network's lead of its first answer over its second, [N]: the smallest are the hardest images."""
        best = np.partition(self.logits, -2, axis=1)
        return best[:, -1] - best[:, -2]

    @property
    def top1(self) -> float:
        """Share of the images that the float network gets right."""
        return float((self.logits.argmax(1) == self.labels).mean())


def path(folder: Path, model: str) -> Path:
    """Return where the model's reference lies in the artifacts' folder."""
    return folder / f"{model}.reference.npz"


def save(reference: Reference, file: Path) -> None:
    """Write a reference whole."""
    with files.whole(file) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, **vars(reference))


def load(file: Path) -> Reference:
    """Read a reference; nothing in it can execute code. Raises DataError for a file that is missing or broken."""
    try:
        with np.load(file, allow_pickle=False) as content:
            return Reference(**{name: v if v.ndim else v.item() for name, v in content.items()})
    except FileNotFoundError as error:
        msg = f"{file} is not there. Make it with: nox -s export"
        raise DataError(msg) from error
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        msg = f"{file} is no reference ({str(error).splitlines()[0]}). Make it again with: nox -s export -- --force"
        raise DataError(msg) from error
