"""Checkpoints: safetensors, which cannot execute code."""

import hashlib
from pathlib import Path
from typing import Any

from models.common import files
from models.common.errors import DataError
from models.frameworks import FRAMEWORKS
from models.zoo import ZOO

FOLDER = Path(__file__).parent / "checkpoints"
CHECKPOINT_BYTES = 1 << 32


class CheckpointMissing(DataError):
    """There is no checkpoint of that model."""


def path(model: str) -> Path:
    """Return where the model's checkpoint lies."""
    return FOLDER / f"{model}.safetensors"


def read(model: str) -> bytes:
    """Return the bytes of the model's checkpoint; raises CheckpointMissing, or DataError where it cannot be read."""
    file = path(model)
    try:
        return files.read_bytes(file, CHECKPOINT_BYTES)
    except FileNotFoundError as error:
        msg = f"{file} is not there. Restore it with git, or train it with: nox -s train -- --only {model}"
        raise CheckpointMissing(msg) from error
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror or error}. Restore it with git, or train again."
        raise DataError(msg) from error


def digest(content: bytes) -> str:
    """Return the SHA-256 of a checkpoint's bytes."""
    return hashlib.sha256(content).hexdigest()


def network(model: str, content: bytes) -> Any:
    """Return the model's network with the weights in a checkpoint's bytes; raises DataError for bytes that are none of it."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    module = ZOO[model]
    try:
        weights = load(content)
        return FRAMEWORKS[module.SPEC.framework].set_weights(module.network(), weights)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        msg = f"{path(model)} is no checkpoint of {model} ({str(error).strip()[:200]}). Restore it with git, or train again."
        raise DataError(msg) from error


def save(model: str, network: Any) -> str:
    """Write the network's weights as the model's checkpoint; return its SHA-256."""
    from safetensors.numpy import save_file

    framework = FRAMEWORKS[ZOO[model].SPEC.framework]
    with files.whole(path(model)) as temporary, files.storage_errors(path(model)):
        save_file(framework.weights(network), temporary)
        temporary.chmod(0o644)  # safetensors writes for its owner alone
    return digest(read(model))
