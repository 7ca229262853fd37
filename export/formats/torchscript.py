"""TorchScript: a traced and frozen graph for libtorch and for torch.jit.load."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import EVERY
from export.formats import _torchscript
from export.source import Source

suffix = ".pt"
tools = {"torch": ("torch",)}
family = "torchscript"
options = {
    EVERY: ("batch",),
    "int8": ("calibration", "images", "granularity", "symmetric"),
    "dynamic_int8": ("granularity",),
}
inspect = _torchscript.inspect


def convert(source: Source, scheme: str, target: Path) -> None:
    _torchscript.save(source, scheme, target, _serialize)


def _serialize(module: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return buffer.getvalue()


def run(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
    import torch

    return _torchscript.run(torch.jit.load, path, images, batch)
