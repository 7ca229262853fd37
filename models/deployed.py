"""One network that is deployed: its weights, how it is built from them, its images and its classes' names."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models import checkpoints, data, networks
from models.common import files
from models.images import LabelledImages
from models.spec import Framework
from models.zoo import ZOO

if TYPE_CHECKING:  # its settings need a library that not every runtime has
    from models.own.network import OwnNetwork


class ZooNetwork:
    """A network of the zoo, on MNIST or on scikit-learn's digits; a user's own has the same members (models/own/network.py).

    Nothing is imported or read before a method needs it. `suffix` is that of the file which holds the network itself: what
    the format `eager` writes. `modules` are those of the project's that build it, besides the framework's side. `stated` are
    figures that the counted ones must equal, 0 where none was stated. `data_place` is what messages call its images.
    """

    suffix = ".safetensors"
    modules = ("models.data",)

    def __init__(self, name: str, dataset: str | None) -> None:
        self.name, self.dataset = name, dataset
        spec = ZOO[name].SPEC
        self.framework: Framework = spec.framework
        self.stated: Mapping[str, int] = {"parameters": spec.parameters, "macs": spec.macs}
        self.weights_file = checkpoints.path(name)
        self.data_place = f"the data set {dataset or 'mnist'}"

    def read(self) -> bytes:
        """Return the content of the file that holds the weights; raises DataError."""
        return checkpoints.read(self.name)

    def network(self, content: bytes, suffix: str = "") -> Any:
        """Return a new network with these weights, in evaluation mode; `suffix` is that of the file if not its own.

        Raises DataError for what cannot be deployed.
        """
        return checkpoints.network(self.name, content)

    def deployable(self, content: bytes) -> Any:
        """Return a new network with these weights in the form in which it is converted."""
        return self.network(content)

    def evaluation(self) -> tuple[LabelledImages, ...]:
        """Return the named evaluation sets, the one that judges first; raises DataError."""
        judged, others = data.load("test", self.dataset), data.load("test", "digits")
        return (judged,) if judged.name == others.name else (judged, others)

    def calibration(self) -> tuple[np.ndarray, str]:
        """Return images to calibrate on, and a note where they are not training images ("" where they are)."""
        return data.load("train", self.dataset).images, ""

    def training(self) -> LabelledImages | None:
        """Return labelled images to fine-tune on, None where there are none."""
        return data.load("train", self.dataset)

    def labels(self, classes: int) -> tuple[str, ...]:
        """Return the names of so many classes; raises DataError where there are others."""
        return tuple(map(str, range(classes)))

    def code(self) -> tuple[Path, ...]:
        """Return the user's files whose code builds the network."""
        return ()


def get(name: str, dataset: str | None = None) -> "ZooNetwork | OwnNetwork":
    """Return a network of the zoo or of the user's folder; `dataset` names the data that the zoo is judged on.

    Raises UsageError where there is no such network, DataError where what belongs to it is missing.
    """
    place = networks.folder()
    if place is None:
        networks.require(name)
        return ZooNetwork(name, dataset)
    from models.own.network import OwnNetwork

    return OwnNetwork(place, name)


def of_file(path: Path) -> "ZooNetwork | OwnNetwork":
    """Return the network of a file of the format `eager`, MODEL-eager-float32.SUFFIX or its temporary name."""
    return get(path.name.lstrip(".").split("-")[0])


def open_file(path: Path) -> Any:
    """Return the network in a file of the format `eager`; raises DataError."""
    return of_file(path).network(files.read_bytes(path, checkpoints.CHECKPOINT_BYTES), path.suffix)
