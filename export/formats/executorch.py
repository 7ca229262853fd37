"""ExecuTorch with XNNPACK: PyTorch's own format for phones and edge boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.formats import _pt2e, _pte
from export.source import Source
from models.errors import EdgewiseError

suffix = ".pte"

irreproducible = {
    "qat_int8": "fine-tuning gives the same bytes on CPUs of one kind; between AVX2 and AVX-512 single weights differ in "
    "their last bit, which rounding to 8 bits may show"
}

inspect = _pte.contents


def options(framework: str, scheme: str) -> tuple[str, ...]:
    return {
        "dynamic_int8": ("granularity",),
        "int8": ("images", "granularity"),
        "int4": ("images", "block"),
        "qat_int8": ("steps", "granularity"),
    }.get(scheme, ())


def tools(framework: str) -> tuple[str, ...]:
    return ("torch", "executorch", "torchao")


def convert(source: Source, scheme: str, target: Path) -> None:
    """Lower to XNNPACK; raises where it takes nothing, because what is left is a hundred times slower."""
    with _pte.quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    lower(source, scheme, target, [XnnpackPartitioner()])
    program = _pte.read(target)
    if not program.delegated:
        msg = f"XNNPACK took no operator of {source.model} in {scheme}: {program.delegation}."
        raise EdgewiseError(msg)


def lower(source: Source, scheme: str, target: Path, partitioners: list) -> None:
    """Write the program, with what the partitioners take delegated and the rest for portable kernels."""
    with _pte.quiet():
        from executorch.exir import to_edge_transform_and_lower

        program = _pt2e.export(source, scheme)
        lowered = to_edge_transform_and_lower(program, partitioner=partitioners).to_executorch()
    target.write_bytes(lowered.buffer)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    import torch

    with _pte.quiet():
        from executorch.extension.pybindings import _portable_lib

    _portable_lib._unsafe_reset_threadpool(1)
    module = _portable_lib._load_for_executorch(str(path))
    inputs = (torch.from_numpy(images[i : i + 1]) for i in range(len(images)))
    return np.concatenate([module.forward((image,))[0].numpy() for image in inputs])
