"""The reference of a model: evaluation images, labels and the float network's logits in one file that needs no framework."""

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models import suggested_commands
from models.common import files
from models.common.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationSet:
    """Images uint8 or float32 [N,H,W] or [N,H,W,C], integer labels [N] and the float network's logits float32 [N,K]."""

    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference(EvaluationSet):
    """What every artifact of a model is judged by: the first evaluation set, called `dataset`.

    `others` are shown beside it, by name: how an artifact behaves on other images (for MNIST, scikit-learn's digits).
    `inputs` names everything that the logits were computed from with a digest of each; `key` is the digest of them all.
    """

    model: str
    dataset: str
    dataset_sha256: str
    checkpoint_sha256: str
    others: Mapping[str, EvaluationSet] = field(default_factory=dict)
    key: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

    def is_current(self, key: str) -> bool:
        """Tell whether it was computed from the inputs that `key` digests; a reference without a key never is."""
        return bool(key) and self.key == key

    @property
    def sha256(self) -> str:
        """Digest of the images, labels and logits of all evaluation sets."""
        digest = hashlib.sha256()
        for part in (self, *self.others.values()):
            for array in (part.images, part.labels, part.logits):
                digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def margins(self) -> np.ndarray:
        """The float network's largest logit minus its second largest, [N]; hard images have small margins."""
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
    """Write a reference whole: the arrays of another evaluation set are called `NAME.images` and so on."""
    texts = {"inputs": json.dumps(dict(reference.inputs), sort_keys=True), "others": json.dumps([*reference.others])}
    content = vars(reference) | texts
    for name, other in reference.others.items():
        content |= {f"{name}.{array}": value for array, value in vars(other).items()}
    with files.whole(file) as temporary, files.storage_errors(file), temporary.open("wb") as out:
        np.savez_compressed(out, **content)


def load(file: Path) -> Reference:
    """Read a reference; nothing in it can execute code. Raises DataError for a file that is missing or broken."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is not a regular file")
        with np.load(file, allow_pickle=False) as content:
            return _reference({name: v if v.ndim else v.item() for name, v in content.items()})
    except FileNotFoundError as error:
        raise DataError(f"{file} is not there. Make it with: {suggested_commands.nox('export')}") from error
    # zipfile, zlib and numpy each raise classes of their own for damaged bytes, down to NotImplementedError for a
    # flipped compression method: whatever happens while a file is read, the file is at fault
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"{file} is no reference ({why}). Make it again with: {suggested_commands.nox('export')}"
        raise DataError(msg) from error


def _reference(content: dict[str, Any]) -> Reference:
    """Return what a file holds; raises ValueError or TypeError where types or shapes are not a reference's."""
    inputs, names = json.loads(content.pop("inputs", "{}")), json.loads(content.pop("others", "[]"))
    arrays = ("images", "labels", "logits")
    others = {name: EvaluationSet(**{a: content.pop(f"{name}.{a}") for a in arrays}) for name in names}
    reference = Reference(**content, inputs=inputs, others=others)
    names = ("model", "dataset", "dataset_sha256", "checkpoint_sha256", "key")
    if not all(isinstance(getattr(reference, name), str) for name in names) or not isinstance(inputs, dict):
        raise ValueError("its names and digests are not text")
    for images, labels, logits in ((part.images, part.labels, part.logits) for part in (reference, *others.values())):
        if not all(isinstance(array, np.ndarray) for array in (images, labels, logits)) or not (
            (images.dtype in (np.uint8, np.float32) and images.ndim in (3, 4))
            and (labels.dtype.kind in "iu" and labels.ndim == 1)
            and (logits.dtype == np.float32 and logits.ndim == 2)
        ):
            raise ValueError("its arrays are not images, labels and logits")
        if not len(images) == len(labels) == len(logits):
            raise ValueError("it has not one label and one row of logits for each image")
        if not np.isfinite(logits).all():
            raise ValueError("its logits are not finite")
    return reference
