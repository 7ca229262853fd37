"""The network itself, in its framework: the row that every artifact is compared with. The file is the checkpoint."""

from pathlib import Path

import numpy as np

from export.contract import Contents, Layer, weights_by_dtype
from export.source import Source
from models import deployed
from models.frameworks import FRAMEWORKS

suffix = ".safetensors"
tools = {"torch": ("torch",), "keras": ("tensorflow-cpu", "keras")}
as_given = True  # a user's file may hold more than the network: example inputs, an optimizer's state


def suffix_of(model: str) -> str:
    """Return the suffix of the file that holds this model's network."""
    return deployed.get(model).suffix


def convert(source: Source, scheme: str, target: Path) -> None:
    if source.deployed.weights_file.suffix == source.deployed.suffix:
        target.write_bytes(source.checkpoint)
        return
    from safetensors.numpy import save_file

    save_file(FRAMEWORKS[source.framework].weights(source.deployed.network(source.checkpoint)), target)


def inspect(path: Path) -> Contents:
    values = FRAMEWORKS[deployed.of_file(path).framework].weights(deployed.open_file(path))
    layers = tuple(Layer(operator="", shape=v.shape, dtype=str(v.dtype)) for v in values.values() if v.ndim > 1)
    constants = sum(value.nbytes for value in values.values())
    return Contents(weights=weights_by_dtype(layers), layers=layers, constants=constants, parts=len(values))


def run(path: Path, images: np.ndarray) -> np.ndarray:
    network, framework = deployed.open_file(path), FRAMEWORKS[deployed.of_file(path).framework]
    return np.concatenate([framework.logits(network, images[i : i + 1]) for i in range(len(images))])
