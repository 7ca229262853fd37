"""Tencent's ncnn, for phones and boards: model.ncnn.param (the graph, as text) and model.ncnn.bin, by pnnx from ONNX."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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
family = _onnxruntime.family
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
        file.write_bytes(_for_pnnx(_onnx_schemes.build(source, "float32")))
        shape = ",".join(map(str, (1, *source.input_shape)))
        width = "float16" if scheme == "float16" else "wide"
        elsewhere.run("ncnn", _PROGRAM, "convert", file, target, shape, width)


def _for_pnnx(content: bytes) -> bytes:
    """Return an ONNX file with an equal graph, in which whatever is reduced over one axis is over two.

    pnnx (20261020) loses a single axis that is an input, and reduces nothing. The second axis has one element.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(content)
    graph = model.graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        axes = known.get(node.input[1]) if node.op_type.startswith("Reduce") and len(node.input) > 1 else None
        if axes is None or axes.size != 1:
            nodes.append(node)
            continue
        axis = int(axes.item())
        added, pair = (axis + 1, [axis, axis + 1]) if axis >= 0 else (axis, [axis - 1, axis])
        wide, out = f"{node.output[0]}/wide", node.output[0]
        for name, value in ((f"{out}/added", [added]), (f"{out}/axes", pair)):
            graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
        nodes.append(helper.make_node("Unsqueeze", [node.input[0], f"{out}/added"], [wide]))
        node.input[0], node.input[1] = wide, f"{out}/axes"
        nodes.append(node)
        if next((a.i for a in node.attribute if a.name == "keepdims"), 1):
            node.output[0] = f"{out}/kept"
            nodes.append(helper.make_node("Squeeze", [node.output[0], f"{out}/added"], [out]))
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()


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


class _Blob(NamedTuple):
    """So many numbers of the weights' file: weights of a `shape` have a tag before them, which tells their width."""

    size: int
    shape: tuple[int, ...] = ()
    tagged: bool = True


def _layers(path: Path) -> Iterator[Layer]:
    """Yield the layers with weights, reading the weights' file along the graph; raises Defect where it is not of it."""
    content, place = (path / BIN).read_bytes(), 0
    passed: set[str] = set()
    for line in (path / PARAM).read_text().splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        pairs = dict(word.split("=", 1) for word in rest[int(inputs) + int(outputs) :] if "=" in word)
        number = {int(key): int(value) for key, value in pairs.items() if value.lstrip("-").isdigit() and int(key) >= 0}
        if kind not in _BLOBS:
            passed.add(kind)
            continue
        for blob in _BLOBS[kind](number):
            half = blob.tagged and int.from_bytes(content[place : place + 4], "little") == HALF
            place += 4 * blob.tagged + (blob.size * (2 if half else 4) + 3) // 4 * 4
            if blob.shape:
                yield Layer(operator=kind, shape=blob.shape, dtype="float16" if half else "float32", quantizable=False)
    if place != len(content):
        others = f"; supposed to have none: {', '.join(sorted(passed))}" if passed else ""
        raise Defect(f"{BIN} has {len(content):,} bytes, the layers of {PARAM} account for {place:,}{others}")


def _vector(size: int) -> _Blob:
    return _Blob(size, tagged=False)


def _convolution(number: dict[int, int]) -> list[_Blob]:
    outputs, size = number[0], number[6]
    width, height = number[1], number.get(11, number[1])
    inputs = size // (outputs * width * height)  # of each group
    return [_Blob(size, (outputs, inputs, height, width)), _vector(outputs * number.get(5, 0))]


def _convolution_1d(number: dict[int, int]) -> list[_Blob]:
    outputs, size, width = number[0], number[6], number[1]
    return [_Blob(size, (outputs, size // (outputs * width), width)), _vector(outputs * number.get(5, 0))]


def _inner_product(number: dict[int, int]) -> list[_Blob]:
    outputs, size = number[0], number[2]
    return [_Blob(size, (outputs, size // outputs)), _vector(outputs * number.get(1, 0))]


def _product_of_matrices(number: dict[int, int]) -> list[_Blob]:
    """A product where one side or both may be constant, as torch's Linear on several tokens."""
    rows, columns, inner = (number.get(axis, 0) for axis in (7, 8, 9))
    added = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}.get(number.get(10, -1))
    return [
        *([_Blob(rows * inner, (rows, inner))] if number.get(4) else ()),
        *([_Blob(inner * columns, (columns, inner))] if number.get(5) else ()),
        *([_Blob(added)] if number.get(6) and added else ()),
    ]


def _attention(number: dict[int, int]) -> list[_Blob]:
    width, size = number[0], number[2]
    query = size // width
    inputs = (query, number.get(3, width), number.get(4, width))
    to = [blob for n in inputs for blob in (_Blob(width * n, (width, n)), _vector(width))]
    return [*to, _Blob(size, (query, width)), _vector(query)]


# ncnn's numbered parameters: https://github.com/Tencent/ncnn/wiki/operators
_BLOBS: dict[str, Callable[[dict[int, int]], list[_Blob]]] = {
    "Convolution": _convolution,
    "ConvolutionDepthWise": _convolution,
    "Convolution1D": _convolution_1d,
    "ConvolutionDepthWise1D": _convolution_1d,
    "Deconvolution": _convolution,
    "DeconvolutionDepthWise": _convolution,
    "InnerProduct": _inner_product,
    "Gemm": _product_of_matrices,
    "MultiHeadAttention": _attention,
    "BatchNorm": lambda n: [_vector(4 * n[0])],
    "Scale": lambda n: [_vector(n[0] * (1 + n.get(1, 0)))],
    "Bias": lambda n: [_vector(n[0])],
    "PReLU": lambda n: [_vector(n[0])],
    "LayerNorm": lambda n: [_vector(2 * n[0] * n.get(2, 1))],
    "RMSNorm": lambda n: [_vector(n[0] * n.get(2, 1))],
    "GroupNorm": lambda n: [_vector(2 * n[1] * n.get(3, 1))],
    "InstanceNorm": lambda n: [_vector(2 * n[0] * n.get(2, 1))],
    "MemoryData": lambda n: [_vector(int(np.prod([n.get(axis) or 1 for axis in (0, 1, 11, 2)])))],
}


def run(path: Path, images: np.ndarray) -> np.ndarray:
    return elsewhere.answers("ncnn", _PROGRAM, path, images)
