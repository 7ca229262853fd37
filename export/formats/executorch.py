"""ExecuTorch with XNNPACK: PyTorch's own format for phones and edge boxes."""

from pathlib import Path
from typing import Any

import numpy as np

from export.contract import EVERY
from export.formats import _batches, _executorch_file
from export.formats._torch import operators_listed_once
from export.source import Source
from models.common.errors import EdgewiseError

suffix = ".pte"
tools = {"torch": ("torch", "executorch", "torchao")}
family = "executorch"
options = {
    EVERY: ("batch",),
    "dynamic_int8": ("granularity",),
    "int8": ("calibration", "images", "granularity", "symmetric"),
    "int4": ("images", "block"),
    "qat_int8": ("steps", "granularity"),
}
irreproducible = {
    "qat_int8": "fine-tuning gives the same bytes on CPUs of one kind; between AVX2 and AVX-512 single weights differ in "
    "their last bit, which rounding to 8 bits may show"
}
inspect = _executorch_file.contents


def convert(source: Source, scheme: str, target: Path) -> None:
    """Lower to XNNPACK; raises where it takes nothing, because what is left is a hundred times slower."""
    with _executorch_file.quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    lower(source, scheme, target, [XnnpackPartitioner()])
    if not any(isinstance(step, dict) for step in _executorch_file.program(target)[1]):
        msg = f"XNNPACK took no operator of {source.model} in {scheme}: {inspect(target).notes[0]}."
        raise EdgewiseError(msg)


def lower(source: Source, scheme: str, target: Path, partitioners: list) -> None:
    """Write the program, with what the partitioners take delegated and the rest for portable kernels."""
    with _executorch_file.quiet(), operators_listed_once():
        from executorch.exir import to_edge_transform_and_lower

        from export.formats import _executorch_schemes

        program = _executorch_schemes.export(source, scheme)
        edge = to_edge_transform_and_lower(program, partitioner=partitioners)
        if source.is_dynamic:
            _bound(edge.exported_program())
        lowered = edge.to_executorch()
    target.write_bytes(lowered.buffer)


def _bound(program: Any) -> None:
    """Plan memory for the largest batch: ExecuTorch 1.4 reads another place than the program's own ranges, and takes 15."""
    import torch

    for node in program.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and value.dim() and isinstance(value.shape[0], torch.SymInt):
            value.shape[0].node.shape_env.var_to_range.update(program.range_constraints)
            return


def run(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
    import torch

    with _executorch_file.quiet():
        from executorch.extension.pybindings import _portable_lib

    _portable_lib._unsafe_reset_threadpool(1)
    module = _portable_lib._load_for_executorch(str(path))
    return _batches.answered(lambda images: module.forward((torch.from_numpy(images),))[0].numpy(), images, batch)
