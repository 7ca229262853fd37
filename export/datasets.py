"""Which data sets a folder's artifacts are of, and that those of one never replace another's by accident."""

import json
from collections import Counter
from pathlib import Path

from models import data
from models.common import files
from models.common.errors import DataError, UsageError
from models.images import LabelledImages

SIDECAR_BYTES = 1 << 24
STAND_IN = "digits"  # what is taken where MNIST cannot be had


def held(folder: Path) -> Counter[str]:
    """Count a folder's sidecars by the data set that each names.

    Sidecars are read leniently: one of an earlier version, which export would make again, still says what it is of.
    """
    names: Counter[str] = Counter()
    for sidecar in folder.glob("[!.]*.json"):
        try:
            name = json.loads(files.read_bytes(sidecar, SIDECAR_BYTES))["dataset"]["name"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):  # failed ones have none
            continue
        if isinstance(name, str):
            names[name] += 1
    return names


def load(dataset: str | None, folder: Path, *, force: bool) -> LabelledImages:
    """Return the test images to judge on: of the named data set, else MNIST's, else loudly the digits.

    Artifacts of another data set are replaced by the digits' only where `force` and the name are both given; else
    raises DataError or UsageError. MNIST's replace those of the digits: they are what the digits stand in for.
    """
    others = Counter({name: n for name, n in held(folder).items() if name != STAND_IN})
    if not others or dataset not in (None, STAND_IN) or (dataset == STAND_IN and force):
        return data.load("test", dataset)
    held_now = f"{folder} holds {others.total()} artifacts of {' and '.join(sorted(others))}"
    if dataset == STAND_IN:
        raise UsageError(
            f"{held_now}, which those of the digits would replace. Nothing was written. Leave --artifacts away, and the "
            "digits go into artifacts-digits; or name another folder; or add --force to replace them."
        )
    try:
        return data.load("test", "mnist")
    except data.MnistUnavailable as error:
        raise DataError(
            f"{held_now}, and MNIST cannot be had now, so that those of scikit-learn's digits would replace them. Nothing "
            "was written. Set MNIST_DIR=FOLDER to a folder with MNIST's four files; or add --data digits, which "
            f"exports into a folder of its own. Why MNIST cannot be had: {error}"
        ) from error
