"""Synthetic networks for the app's tests: other sizes, channels, classes, layouts and batches than the zoo's.

`python -m tests.apps.android.app_tests.synthetic_networks FOLDER` writes them; it needs onnx.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.web import catalogue
from export import artifact as artifacts
from export.artifact import Artifact, Dataset, Golden
from export.contract import Tensor
from models import reference
from models.common import files
from models.images import Layout
from models.reference import Reference

IMAGES, GOLDEN = 40, 3


@dataclass(frozen=True, kw_only=True)
class SyntheticNetwork:
    """A network of colour images [height, width, 3], how many it takes at once, and whether its images are floats."""

    model: str
    size: tuple[int, int]
    labels: tuple[str, ...]
    layout: Layout
    batch: int = 1
    floats: bool = False

    @property
    def id(self) -> str:
        return f"{self.model}-onnx-float32"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, *((3, *self.size) if self.layout == "chw" else (*self.size, 3)))


FRUIT = SyntheticNetwork(
    model="fruit",
    size=(12, 16),
    layout="hwc",
    labels=("apple", "banana", "cherry", "a fruit with a rather long name", "elderberry", "fig", "grape"),
)
RIPENESS = SyntheticNetwork(
    model="ripeness", size=(14, 10), layout="chw", labels=("ripe", "unripe"), batch=4, floats=True
)


def write(folder: Path) -> None:
    """Write both networks as a user's folder has them, with artifacts and references."""
    for network in (FRUIT, RIPENESS):
        _write(network, folder / "artifacts")
        files.write_bytes(folder / f"{network.model}.pt2", b"only its name is read: it was exported elsewhere")


def _write(network: SyntheticNetwork, folder: Path) -> None:
    rng = np.random.default_rng(7)
    classes, values = len(network.labels), 3 * network.size[0] * network.size[1]
    images = rng.integers(0, 256, (IMAGES, *network.size, 3), np.uint8)
    given = images.astype(np.float32) / np.float32(255)
    if network.floats:
        images = given = given * 2 - 1
    if network.layout == "chw":
        given = np.moveaxis(given, -1, 1)
    weights = rng.normal(scale=0.02, size=(values, classes)).astype(np.float32)
    weights -= weights.mean(0)  # so that no class is the answer to every image
    logits = given.reshape(IMAGES, -1) @ weights
    content = _linear(weights, network.shape)
    file = folder / f"{network.id}.onnx"
    files.write_bytes(file, content)
    data = Dataset(name=network.model, sha256=hashlib.sha256(images.tobytes()).hexdigest(), images=IMAGES)
    shapes = (("image", network.shape), ("logits", (network.batch, classes)))
    image, output = (Tensor(name=name, shape=shape, dtype="float32") for name, shape in shapes)
    source_logits = Reference(model=network.model, dataset=data.name, dataset_sha256=data.sha256, checkpoint_sha256="c" * 64,
                        images=images, labels=logits.argmax(1), logits=logits)  # fmt: skip
    reference.save(source_logits, reference.path(folder, network.model))
    golden = tuple(
        Golden(
            index=i, label=int(logits[i].argmax()), logits=tuple(map(float, logits[i])), **catalogue.pixels(images[i])
        )
        for i in range(GOLDEN)
    )
    sidecar = Artifact(id=network.id, model=network.model, framework="torch", format="onnx", scheme="float32", key="k",
                       file=file.name, sha256=files.sha256(file), size_bytes=len(content), compressed_bytes=len(content),
                       inputs=(image,), outputs=(output,), layout=network.layout, labels=network.labels, dataset=data,
                       checkpoint_sha256="c" * 64, golden=golden)  # fmt: skip
    artifacts.save(sidecar, folder)


def _linear(weights: np.ndarray, shape: tuple[int, ...]) -> bytes:
    """Return an ONNX file that gives flatten(image) x weights [values of an image, K] for images of a shape [N,...]."""
    from onnx import TensorProto, helper, numpy_helper

    image, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in (("image", shape), ("logits", (shape[0], weights.shape[1])))
    )
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    graph = helper.make_graph(nodes, "linear", [image], [logits], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
