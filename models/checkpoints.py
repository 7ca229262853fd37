"""Checkpoints (safetensors, which cannot execute code) and the cards beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models import files
from models.data import MNIST_SHA256
from models.errors import DataError
from models.frameworks import FRAMEWORKS
from models.zoo import ZOO

FOLDER = Path(__file__).parent / "checkpoints"


def path(model: str) -> Path:
    """Return where the model's checkpoint lies."""
    return FOLDER / f"{model}.safetensors"


def card_path(model: str) -> Path:
    """Return where the model's card lies."""
    return FOLDER / f"{model}.json"


def fingerprint(model: str) -> str:
    """Return what a current checkpoint's card shows: a digest of training recipe, network and MNIST's checksums."""
    module = ZOO[model]
    return module.TRAINING.fingerprint(module.SPEC, MNIST_SHA256["train-images-idx3-ubyte"])


def card(model: str) -> dict[str, Any]:
    """Return the card, or an empty one where there is none."""
    try:
        return json.loads(card_path(model).read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        msg = f"{card_path(model)} is not JSON ({error}). Restore it, or train again with: nox -s train -- --force"
        raise DataError(msg) from error


def is_current(model: str) -> bool:
    """Tell whether the checkpoint is there, whole, and trained by today's recipe."""
    says, file = card(model), path(model)
    return file.exists() and says.get("fingerprint") == fingerprint(model) and says.get("sha256") == files.sha256(file)


def load(model: str, file: Path | None = None) -> Any:
    """Return the model's network with a checkpoint's weights, its own unless `file` is given.

    Raises DataError for a file that is missing, truncated or of another network.
    """
    return network(model, weights(model, file or path(model)))


def weights(model: str, file: Path) -> dict[str, Any]:
    """Return the named arrays of a checkpoint; raises DataError for a file that is missing or truncated."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except FileNotFoundError as error:
        msg = f"{file} is not there. Train it with: nox -s train -- --only {model}"
        raise DataError(msg) from error
    except (SafetensorError, ValueError) as error:
        raise _no_checkpoint(model, file, error) from error


def network(model: str, values: dict[str, Any]) -> Any:
    """Return the model's network with these weights; raises DataError where they are another network's."""
    module = ZOO[model]
    try:
        return FRAMEWORKS[module.SPEC.framework].set_weights(module.network(), values)
    except (ValueError, RuntimeError) as error:
        raise _no_checkpoint(model, path(model), error) from error


def _no_checkpoint(model: str, file: Path, error: Exception) -> DataError:
    return DataError(f"{file} is no checkpoint of {model} ({str(error).strip()[:200]}). Restore it, or train again.")


def save(model: str, network: Any) -> str:
    """Write the network's weights as the model's checkpoint; return its SHA-256."""
    from safetensors.numpy import save_file

    framework = FRAMEWORKS[ZOO[model].SPEC.framework]
    with files.whole(path(model)) as temporary:
        save_file(framework.weights(network), temporary)
        temporary.chmod(0o644)  # safetensors writes for its owner alone
    return files.sha256(path(model))
