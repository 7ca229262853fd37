"""The network itself, in its framework: the row that every artifact is compared with. The file is the checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from export.contract import Contents, Layer, Tensor
from export.source import Source
from models import checkpoints
from models.frameworks import FRAMEWORKS
from models.zoo import ZOO

suffix = ".safetensors"


def tools(framework: str) -> tuple[str, ...]:
    return {"torch": ("torch",), "keras": ("tensorflow-cpu", "keras")}[framework]


def convert(source: Source, scheme: str, target: Path) -> None:
    target.write_bytes(source.checkpoint)


def _model(path: Path) -> str:
    # the file may still have its temporary name: .MODEL-eager-float32.123.tmp.safetensors
    return path.name.lstrip(".").split("-")[0]


def inspect(path: Path) -> Contents:
    from safetensors.numpy import load_file

    counts: Counter[str] = Counter()
    values = load_file(path)
    matrices = [value for value in values.values() if value.ndim > 1]
    for value in matrices:
        counts[str(value.dtype)] += value.size
    shape = ZOO[_model(path)].SPEC.input_shape
    return Contents(
        inputs=(Tensor(name="image", shape=(1, *shape), dtype="float32"),),
        outputs=(Tensor(name="logits", shape=(1, 10), dtype="float32"),),
        weights=counts,
        layers=tuple(Layer(operator="", shape=value.shape, dtype=str(value.dtype)) for value in matrices),
        constants=sum(value.nbytes for value in values.values()),
        parts=len(values),
    )


def run(path: Path, images: np.ndarray) -> np.ndarray:
    model = _model(path)
    network = checkpoints.load(model, path)
    framework = FRAMEWORKS[ZOO[model].SPEC.framework]
    return np.concatenate([framework.logits(network, images[i : i + 1]) for i in range(len(images))])
