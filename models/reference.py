"""Reference answers: evaluation images, labels and the float network's logits in one file that needs no framework."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models import files
from models.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What every artifact of a model is judged by: `images` uint8 [N,28,28], `labels` uint8 [N], `logits` float32 [N,10].

    Beside MNIST there are as many arrays of scikit-learn's digits, drawn by other hands and at another resolution: how
    an artifact behaves away from its training data. They are empty where the digits are the data set.
    """

    model: str
    dataset: str
    dataset_sha256: str
    checkpoint_sha256: str
    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    digits_images: np.ndarray = field(default_factory=lambda: np.zeros((0, 28, 28), np.uint8))
    digits_labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    digits_logits: np.ndarray = field(default_factory=lambda: np.zeros((0, 10), np.float32))

    def is_current(self, checkpoint_sha256: str, dataset_sha256: str) -> bool:
        """Tell whether it is complete, and of this checkpoint and data set."""
        complete = self.dataset == "digits" or len(self.digits_images) > 0
        return complete and (self.checkpoint_sha256, self.dataset_sha256) == (checkpoint_sha256, dataset_sha256)

    @property
    def sha256(self) -> str:
        """Digest of the images, labels and logits, of both data sets."""
        digest = hashlib.sha256()
        for array in (v for v in vars(self).values() if isinstance(v, np.ndarray)):
            digest.update(array.tobytes())
        return digest.hexdigest()

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
