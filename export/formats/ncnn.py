"""Tencent's ncnn, for phones and boards: model.ncnn.param (the graph, as text) and model.ncnn.bin, by pnnx from ONNX."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export import elsewhere
from export.contract import Contents, Layer
from export.elsewhere import with_ncnn
from export.formats import _onnx_schemes, _onnxruntime
from export.judge import Defect
from export.source import Source
from models.errors import Unsupported

suffix = ".ncnn"
tools = _onnxruntime.tools
_PROGRAM = with_ncnn.__file__

PARAM, BIN = "model.ncnn.param", "model.ncnn.bin"
NO_INT8 = (
    "ncnn quantizes with its programs ncnn2table and ncnn2int8, which are in no wheel. To build them: git clone "
    "--recursive https://github.com/Tencent/ncnn && cmake -S ncnn -B ncnn/build -DNCNN_SIMPLEOCV=ON && cmake --build "
    "ncnn/build --target ncnn2table ncnn2int8"
)
HALF = 0x01306B47  # what stands before weights in half precision; before float32 it is 0


def convert(source: Source, scheme: str, target: Path) -> None:
    if scheme == "int8":
        raise Unsupported(NO_INT8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(_onnx_schemes.build(source, "float32"))
        shape = ",".join(map(str, (1, *source.input_shape)))
        width = "float16" if scheme == "float16" else "wide"
        elsewhere.run("ncnn", _PROGRAM, "convert", file, target, shape, width)


def inspect(path: Path) -> Contents:
    layers = tuple(_layers(path))
    counts: Counter[str] = Counter()
    for layer in layers:
        counts[layer.dtype] += layer.weights
    half = "float16" in counts
    return Contents(
        inputs=(),  # its files name them in0 and out0, without a shape
        outputs=(),
        weights=counts,
        layers=layers,
        constants=(path / BIN).stat().st_size,
        parts=len((path / PARAM).read_text().splitlines()) - 2,
        notes=("half precision is how the weights are stored; sums are float32",) if half else (),
    )


def _layers(path: Path) -> Iterator[Layer]:
    """Yield the layers with weights, reading the weights' file along the graph; raises Defect where it is not of it."""
    content, place = (path / BIN).read_bytes(), 0
    for line in (path / PARAM).read_text().splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        said = dict(word.split("=", 1) for word in rest[int(inputs) + int(outputs) :] if "=" in word)
        number = {int(key): int(value) for key, value in said.items() if value.lstrip("-").isdigit() and int(key) >= 0}
        if kind in _SHAPES:
            size, shape, bias = _SHAPES[kind](number)
            half = int.from_bytes(content[place : place + 4], "little") == HALF
            place += 4 + (size * (2 if half else 4) + 3) // 4 * 4 + 4 * bias
            yield Layer(operator=kind, shape=shape, dtype="float16" if half else "float32", quantizable=False)
        elif kind in _VECTORS:
            place += 4 * _VECTORS[kind](number)
    if place != len(content):
        raise Defect(f"{BIN} has {len(content):,} bytes, the layers of {PARAM} account for {place:,}")


def _convolution(number: dict[int, int]) -> tuple[int, tuple[int, ...], int]:
    outputs, size = number[0], number[6]
    width, height = number[1], number.get(11, number[1])
    inputs = size // (outputs * width * height)  # of each group
    return size, (outputs, inputs, height, width), outputs * number.get(5, 0)


def _inner_product(number: dict[int, int]) -> tuple[int, tuple[int, ...], int]:
    outputs, size = number[0], number[2]
    return size, (outputs, size // outputs), outputs * number.get(1, 0)


# ncnn's numbered parameters: https://github.com/Tencent/ncnn/wiki/operators
_SHAPES = {
    "Convolution": _convolution,
    "ConvolutionDepthWise": _convolution,
    "Deconvolution": _convolution,
    "DeconvolutionDepthWise": _convolution,
    "InnerProduct": _inner_product,
}
_VECTORS = {
    "BatchNorm": lambda n: 4 * n[0],
    "Scale": lambda n: n[0] * (1 + n.get(1, 0)),
    "PReLU": lambda n: n[0],
    "LayerNorm": lambda n: 2 * n[0] * n.get(2, 1),
    "MemoryData": lambda n: int(np.prod([n.get(axis) or 1 for axis in (0, 1, 11, 2)])),
}


def run(path: Path, images: np.ndarray) -> np.ndarray:
    return elsewhere.answers("ncnn", _PROGRAM, path, images)
