"""Placements of Core ML's packages: the operators of the program and how the file stores their weights."""

import itertools
from pathlib import Path
from typing import Any

from device_tests.measure.explain.placement import Facts
from device_tests.results.placements import Operator, Part
from export.contract import BITS
from export.formats import coreml
from models import mil
from models.common import files


def explain(path: Path, runtime: str) -> Facts:
    """List the operators of the file's one function, without constants and operators that only decompress weights."""
    operations = mil.operations(path)
    steps = [op for op in operations if op.op_type != "const" and not op.op_type.startswith("constexpr_")]
    layers = [layer for op in steps for layer in coreml._layers([op])]
    weights = tuple(
        Part(name=f"{layer}", section="weights", size_bytes=layer.weights * BITS[layer.dtype] // 8) for layer in layers
    )
    stored = files.size_bytes(path / mil.WEIGHTS)
    rest = stored - sum(part.size_bytes for part in weights)
    others = {"section": "biases and constants", "size_bytes": max(rest, 0)}
    program = files.size_bytes(path) - stored + min(rest, 0)
    return Facts(
        operators=tuple(map(_operator, steps)),
        parts=(
            *weights,
            Part(name="biases, scales, tables, alignment", **others),
            Part(name="the program and the manifest", section="graph", size_bytes=program),
        ),
        library="NumPy" if runtime == "mil_evaluator" else "Core ML on the CPU",
        notes=("weights are widened before they are multiplied",) if any(BITS[x.dtype] < 16 for x in layers) else (),
    )


def _operator(op: Any) -> Operator:
    # looking up a table needs no products
    layers = list(coreml._layers([op])) if op.op_type != "gather" else []
    taken = next((var for var in _variables(op)), None)
    activations = coreml._dtype(taken) if taken is not None else ""
    facts = {"weights": layers[0].dtype, "parameters": layers[0].weights} if layers else {}
    return Operator(name=op.op_type, activations=activations, **facts)


def _variables(op: Any) -> list[Any]:
    """Return the inputs that are computed, in their order."""
    inputs = (var if isinstance(var, list | tuple) else [var] for var in op.inputs.values() if var is not None)
    every = itertools.chain.from_iterable(inputs)
    return [var for var in every if var.op is None or not (var.op.op_type == "const" or "constexpr" in var.op.op_type)]
