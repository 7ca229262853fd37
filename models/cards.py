"""Cards record how a checkpoint was trained, and show whether the file is still that checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from models import checkpoints
from models.common import records
from models.common.errors import DataError
from models.common.records import Count, Magnitude, Record, Share
from models.data import MNIST_SHA256
from models.zoo import ZOO

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

# Why a checkpoint is not as its card says; one that is missing needs no reason.
REASONS = {
    "damaged": "its bytes are not those that its card was written for",
    "other_settings": "its training settings, network or data are others than its card's",
    "no_card": "it has no card, so nothing shows how it was trained",
}


class TrainedOn(Record, kw_only=True):
    """The data set of a training and the SHA-256 of each of its files."""

    name: str
    sha256: dict[str, Sha256]


class Card(Record, kw_only=True):
    """How a checkpoint was trained and what it reached; accuracies are shares, with a 95 % interval for the test's.

    `sha256` is the checkpoint's, `fingerprint` a digest of the training settings, the network and the data.
    """

    model: str
    title: str
    source: str
    parameters: Count
    seed: int
    epochs: Count
    cpu_minutes: Magnitude
    validation_accuracy: Share
    test_accuracy: Share
    test_accuracy_95: tuple[Share, Share]
    data: TrainedOn
    sha256: Sha256
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a model's checkpoint file; `sha256` is "" if there is no file."""

    model: str
    state: Literal["current", "missing", "damaged", "other_settings", "no_card"]
    card: Card | None
    sha256: str


def path(model: str) -> Path:
    """Return where the model's card lies."""
    return checkpoints.FOLDER / f"{model}.json"


def fingerprint(model: str) -> str:
    """Return the digest of training settings, network and MNIST's checksums that a current checkpoint's card holds."""
    module = ZOO[model]
    return module.TRAINING.fingerprint(module.SPEC, MNIST_SHA256["train-images-idx3-ubyte"])


def read(model: str) -> Card | None:
    """Return the model's card, None where there is none; raises DataError for one that is broken."""
    remedy = f"Restore it with git, or train again: nox -s train -- --force --only {model}"
    return records.read(path(model), Card, what="card", remedy=remedy)


def save(card: Card) -> None:
    """Write a card whole."""
    records.write(path(card.model), card)


def checkpoint(model: str) -> Checkpoint:
    """Return the state of a model's checkpoint; raises DataError for a broken card or if the checkpoint cannot be read."""
    card = read(model)
    try:
        sha256 = checkpoints.digest(checkpoints.read(model))
    except checkpoints.CheckpointMissing:
        return Checkpoint(model=model, state="missing", card=card, sha256="")
    if card is None:
        state = "no_card"
    elif card.sha256 != sha256:
        state = "damaged"
    else:
        state = "current" if card.fingerprint == fingerprint(model) else "other_settings"
    return Checkpoint(model=model, state=state, card=card, sha256=sha256)


def is_current(model: str) -> bool:
    """Tell whether the checkpoint is there, whole, and trained by today's settings."""
    return checkpoint(model).state == "current"


def require_whole(model: str) -> Checkpoint:
    """Return a checkpoint that can be exported; raises DataError for one that is missing or damaged.

    One without a card, or of other training settings, may be a user's own: it can be exported.
    """
    stored, file = checkpoint(model), checkpoints.path(model)
    if stored.state == "missing":
        checkpoints.read(model)
    if stored.state == "damaged":
        raise DataError(
            f"{file} is damaged: its SHA-256 is {stored.sha256[:12]}..., its card's {stored.card.sha256[:12]}... "
            f"Restore both with: git checkout -- {file.parent}, or train again with: nox -s train -- --only {model}. "
            f"If it is your own network's, delete {path(model)}."
        )
    return stored
