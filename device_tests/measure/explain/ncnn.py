"""Receipts of ncnn's files: the operators and their numbers from the file. ncnn does not tell which kernels it takes."""

from __future__ import annotations

from pathlib import Path

from device_tests.measure.explain.receipt import Facts
from device_tests.results.receipts import Operator, Part
from export.formats import ncnn
from export.judge import BITS, Defect
from models.errors import DataError


def explain(path: Path, runtime: str) -> Facts:
    """List the operators of model.ncnn.param with what model.ncnn.bin stores; raises DataError where they do not fit."""
    try:
        layers = {name: layer for name, layer, _ in ncnn.stored(path)}
    except Defect as error:
        raise DataError(str(error)) from error
    operators = tuple(_operator(line, layers) for line in ncnn.operators(path) if line.kind != "Input")
    weights = tuple(
        Part(name=name, section="weights", size_bytes=layer.weights * BITS[layer.dtype] // 8)
        for name, layer in layers.items()
    )
    rest = (path / ncnn.BIN).stat().st_size - sum(part.size_bytes for part in weights)
    text = (path / ncnn.PARAM).stat().st_size
    return Facts(
        operators=operators,
        parts=(
            *weights,
            Part(name="biases, scales, marks", section="biases and constants", size_bytes=rest),
            Part(name=f"{ncnn.PARAM}: operators", section="graph", size_bytes=text),
        ),
        library="ncnn's own kernels",
        notes=("read from the file: ncnn does not tell which kernels it takes",),
    )


def _operator(line: ncnn.Operator, layers: dict) -> Operator:
    layer = layers.get(line.name)
    return Operator(
        name=line.kind,
        weights=layer.dtype if layer else "",
        activations="int8" if line.integer else "float32",
        integer=line.integer,
        parameters=layer.weights if layer else 0,
    )
