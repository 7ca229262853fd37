"""The lite interpreter's file: TorchScript with bytecode, for the PyTorch Mobile apps that are in the field."""

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contents
from export.formats import _torchscript, torchscript
from export.source import Source

suffix = ".ptl"
tools = torchscript.tools
family = torchscript.family
options = torchscript.options


def convert(source: Source, scheme: str, target: Path) -> None:
    # TorchScript's own half would hold quantized weights a second time; the lite interpreter reads the bytecode only
    _torchscript.save(source, scheme, target, _serialize, unused=("code/", "constants.pkl"))


def _serialize(module: Any) -> bytes:
    return module._save_to_buffer_for_lite_interpreter()


def inspect(path: Path) -> Contents:
    contents = _torchscript.inspect(path)
    return dataclasses.replace(contents, notes=(*contents.notes, _mobile_passes()))


@lru_cache
def _mobile_passes() -> str:
    """Say what PyTorch's passes for phones would do here, tried on a network of one layer."""
    import torch
    from torch.utils.mobile_optimizer import optimize_for_mobile

    with _torchscript.quiet():
        try:
            optimize_for_mobile(torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 1, 1)))
        except RuntimeError as error:
            reason = str(error).rpartition("please report a bug to PyTorch. ")[-1]
            return f"without optimize_for_mobile, which this PyTorch cannot do: {reason}"
    return "without optimize_for_mobile, so that the file runs with and without XNNPACK"


def run(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
    from torch.jit.mobile import _load_for_lite_interpreter

    return _torchscript.run(_load_for_lite_interpreter, path, images, batch)
