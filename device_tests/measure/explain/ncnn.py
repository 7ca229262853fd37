"""Placements of ncnn's files: operators and dtypes come from the file, for ncnn does not report its kernels."""

from pathlib import Path

from device_tests.measure.explain.placement import Facts
from device_tests.results.placements import Operator, Part
from export.contract import BITS, Layer
from export.formats import ncnn
from export.judge import Defect
from models.common.errors import DataError


def explain(path: Path, runtime: str) -> Facts:
    """List the operators of model.ncnn.param with what model.ncnn.bin stores; raises DataError where they do not fit."""
    try:
        stored = list(ncnn.stored(path))
    except Defect as error:
        raise DataError(str(error)) from error
    layers: dict[str, list[Layer]] = {}
    for name, layer, _ in stored:  # attention has four
        layers.setdefault(name, []).append(layer)
    graph = [line for line in ncnn.operators(path) if line.kind != "Input"]
    operators = tuple(_operator(line, layer) for line in graph for layer in layers.get(line.name, [None]))
    weights = tuple(
        Part(name=name, section="weights", size_bytes=layer.weights * BITS[layer.dtype] // 8)
        for name, layer, _ in stored
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


def _operator(line: ncnn.Operator, layer: Layer | None) -> Operator:
    facts = {"weights": layer.dtype, "parameters": layer.weights} if layer else {}
    activations = "int8" if line.integer else "float32"
    return Operator(name=line.kind, activations=activations, integer=line.integer, **facts)
