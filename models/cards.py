"""Cards: what is recorded beside each checkpoint when it is trained, and what that says of the checkpoint now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models import checkpoints, files, records
from models.data import MNIST_SHA256
from models.errors import DataError
from models.zoo import ZOO

CARD_BYTES = 1 << 20

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

# Why a checkpoint is not as its card says; one that is missing needs no reason.
REASONS = {
    "damaged": "its bytes are not those that its card was written for",
    "other_settings": "its training settings, network or data are others than its card's",
    "no_card": "it has no card, so nothing shows how it was trained",
}


class TrainedOn(msgspec.Struct, frozen=True, kw_only=True):
    """The data set of a training and the SHA-256 of each of its files."""

    name: str
    sha256: dict[str, Sha256]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """How a checkpoint was trained and what it reached; accuracies are shares, with a 95 % interval for the test's.

    `sha256` is the checkpoint's, `fingerprint` a digest of the training settings, the network and the data.
    """

    model: str
    title: str
    source: str
    parameters: Count
    seed: int
    epochs: Count
    cpu_minutes: Annotated[float, Meta(ge=0)]
    validation_accuracy: Share
    test_accuracy: Share
    test_accuracy_95: tuple[Share, Share]
    data: TrainedOn
    sha256: Sha256
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What lies in the checkpoints' folder for a model: `sha256` is that of its bytes, empty where it is missing."""

    model: str
    state: Literal["current", "missing", "damaged", "other_settings", "no_card"]
    card: Card | None
    sha256: str


def path(model: str) -> Path:
    """Return where the model's card lies."""
    return checkpoints.FOLDER / f"{model}.json"


def fingerprint(model: str) -> str:
    """Return what a current checkpoint's card shows: a digest of training settings, network and MNIST's checksums."""
    module = ZOO[model]
    return module.TRAINING.fingerprint(module.SPEC, MNIST_SHA256["train-images-idx3-ubyte"])


def read(model: str) -> Card | None:
    """Return the model's card, None where there is none; raises DataError for one that is broken."""
    try:
        return records.decoder(Card).decode(files.read_bytes(path(model), CARD_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        msg = f"{path(model)} is no card ({error}). Restore it with git, or train again: nox -s train -- --force --only {model}"
        raise DataError(msg) from error


def save(card: Card) -> None:
    """Write a card whole."""
    files.write_json(path(card.model), msgspec.to_builtins(card))


def checkpoint(model: str) -> Checkpoint:
    """Return what is there of a model's checkpoint; raises DataError for a broken card or a checkpoint that is no file."""
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
    there, file = checkpoint(model), checkpoints.path(model)
    if there.state == "missing":
        checkpoints.read(model)
    if there.state == "damaged":
        msg = (
            f"{file} is damaged: its SHA-256 is {there.sha256[:12]}..., its card's {there.card.sha256[:12]}... "
            f"Restore both with: git checkout -- {file.parent}, or train again with: nox -s train -- --only {model}. "
            f"If it is your own network's, delete {path(model)}."
        )
        raise DataError(msg)
    return there
