"""Reference answers: evaluation images, labels and the float network's logits in one file that needs no framework."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models import files
from models.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What every artifact of a model is judged by: `images` uint8 [N,28,28], `labels` uint8 [N], `logits` float32 [N,10].

    Beside MNIST there are as many arrays of scikit-learn's digits, drawn by other hands and at another resolution: how
    an artifact behaves away from its training data. They are empty where the digits are the data set. `inputs` names
    everything that the logits were computed from with a digest of each; `key` is the digest of them all.
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
    key: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

    def is_current(self, key: str) -> bool:
        """Tell whether it is complete, and computed from exactly what `key` digests; one without a key is not."""
        complete = self.dataset == "digits" or len(self.digits_images) > 0
        return complete and bool(key) and self.key == key

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
    content = vars(reference) | {"inputs": json.dumps(dict(reference.inputs), sort_keys=True)}
    with files.whole(file) as temporary, files.storage_errors(file), temporary.open("wb") as out:
        np.savez_compressed(out, **content)


def load(file: Path) -> Reference:
    """Read a reference; nothing in it can execute code. Raises DataError for a file that is missing or broken."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is not a regular file")
        with np.load(file, allow_pickle=False) as content:
            reference = _reference({name: v if v.ndim else v.item() for name, v in content.items()})
    except FileNotFoundError as error:
        msg = f"{file} is not there. Make it with: nox -s export"
        raise DataError(msg) from error
    # zipfile, zlib and numpy each raise classes of their own for damaged bytes, down to NotImplementedError for a
    # flipped compression method: whatever happens while a file is read, the file is at fault
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"{file} is no reference ({why}). Make it again with: nox -s export"
        raise DataError(msg) from error
    return reference


def _reference(content: dict[str, Any]) -> Reference:
    """Return what a file holds; raises ValueError or TypeError where types or shapes are not a reference's."""
    inputs = json.loads(content.pop("inputs", "{}"))
    reference = Reference(**content, inputs=inputs)
    names = ("model", "dataset", "dataset_sha256", "checkpoint_sha256", "key")
    if not all(isinstance(getattr(reference, name), str) for name in names) or not isinstance(inputs, dict):
        raise ValueError("its names and digests are not text")
    for prefix in ("", "digits_"):
        images, labels, logits = (getattr(reference, prefix + name) for name in ("images", "labels", "logits"))
        for array, dtype, dimensions in ((images, np.uint8, 3), (labels, np.uint8, 1), (logits, np.float32, 2)):
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != dimensions:
                raise ValueError("its arrays are not images, labels and logits")
        if not len(images) == len(labels) == len(logits):
            raise ValueError("it has not one label and one row of logits for each image")
        if not np.isfinite(logits).all():
            raise ValueError("its logits are not finite")
    return reference
