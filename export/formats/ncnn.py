"""Tencent's ncnn, for phones and boards: model.ncnn.param (the graph, as text) and model.ncnn.bin, by pnnx from ONNX."""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from export import isolated
from export.contract import Contents, Layer, tables, weights_by_dtype
from export.formats import onnx as onnx_format
from export.isolated import ncnn_tools, with_ncnn
from export.judge import Defect
from export.source import Source
from models.common.errors import Unsupported

suffix = ".ncnn"
tools = onnx_format.tools
family = onnx_format.family
options = {"int8": ("images",)}
_PROGRAM = with_ncnn.__file__

PARAM, BIN = "model.ncnn.param", "model.ncnn.bin"
# what stands before the weights of a layer, and the bytes of each
TAGS = {0: ("float32", 4), 0x01306B47: ("float16", 2), 0x000D4B38: ("int8", 1)}
NOTES = {
    "float16": "half precision is how the weights are stored; sums are float32",
    "int8": "calibrated by ncnn's own kernels: another CPU may give scales with other last digits",
}
# Of 10,000 answers of the small network ncnn's own default, kl, changes 260, this 2.
METHOD = "aciq"
WITH_TABLE = ("Convolution", "ConvolutionDepthWise", "InnerProduct")  # which the programs quantize
OTHERWISE = ("Embed", "GRU", "Gemm", "LSTM", "MultiHeadAttention", "RNN", "SDPA")  # and these


def convert(source: Source, scheme: str, target: Path) -> None:
    programs = ncnn_tools.find() if scheme == "int8" else ()
    with tempfile.TemporaryDirectory() as folder:
        file, wide = Path(folder) / "model.onnx", Path(folder) / "wide"
        file.write_bytes(_for_pnnx(onnx_format.build(source, "float32")))
        shape = ",".join(map(str, (1, *source.input_shape)))
        width = "float16" if scheme == "float16" else "wide"
        isolated.run("ncnn", _PROGRAM, "convert", file, wide if programs else target, shape, width)
        if programs:
            _quantize(*programs, wide, source.calibration, target)


def _quantize(table: Path, int8: Path, wide: Path, images: np.ndarray, target: Path) -> None:
    """Calibrate float32 files on images [N,...] and write the files with 8-bit weights and activations."""
    if unread := sorted({line.kind for line in operators(wide)} & {*OTHERWISE}):
        raise Unsupported(f"ncnn stores {', '.join(unread)} in 8 bits in ways of their own, which are not read here")
    places = []
    for i, image in enumerate(images):
        places.append(wide / f"{i}.npy")
        np.save(places[-1], np.ascontiguousarray(image, np.float32))
    listed, scales = wide / "images.txt", wide / "scales.table"
    listed.write_text("".join(f"{place}\n" for place in places))
    shape = ",".join(map(str, reversed(images.shape[1:])))  # ncnn names the last axis first
    arguments = (f"shape=[{shape}]", f"method={METHOD}", "type=1", "thread=1")  # type 1: arrays, not pictures
    ncnn_tools.run(table, wide / PARAM, wide / BIN, listed, scales, *arguments)
    target.mkdir(parents=True, exist_ok=True)
    ncnn_tools.run(int8, wide / PARAM, wide / BIN, target / PARAM, target / BIN, scales)


def _for_pnnx(content: bytes) -> bytes:
    """Return an equal ONNX file in which each reduction over one axis gets a second axis, of one element.

    pnnx (20261020) loses a single axis that is an input, and reduces nothing. So Reduce(x, axes=[a]) becomes
    Unsqueeze(x, axes=[b]), Reduce(axes=[a, b]), Squeeze(axes=[b]), where b lies beside a.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(content)
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        axes = constants.get(node.input[1]) if node.op_type.startswith("Reduce") and len(node.input) > 1 else None
        if axes is None or axes.size != 1:
            nodes.append(node)
            continue
        axis = int(axes.item())
        # counted from the end, the new axis takes the old one's number, which moves to the next
        added, pair = (axis + 1, [axis, axis + 1]) if axis >= 0 else (axis, [axis - 1, axis])
        unsqueezed, out = f"{node.output[0]}/unsqueezed", node.output[0]
        for name, value in ((f"{out}/added", [added]), (f"{out}/axes", pair)):
            graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
        nodes.append(helper.make_node("Unsqueeze", [node.input[0], f"{out}/added"], [unsqueezed]))
        node.input[0], node.input[1] = unsqueezed, f"{out}/axes"
        nodes.append(node)
        if next((a.i for a in node.attribute if a.name == "keepdims"), 1):
            node.output[0] = f"{out}/kept"
            nodes.append(helper.make_node("Squeeze", [node.output[0], f"{out}/added"], [out]))
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()


def inspect(path: Path) -> Contents:
    layers = tuple(layer for _, layer, _ in stored(path))
    counts = weights_by_dtype(layers)
    held = [line.numbers for line in operators(path) if line.kind == "MemoryData"]
    return Contents(
        weights=counts,
        layers=layers,
        constants=(path / BIN).stat().st_size,
        tables=tables((("float32", shape, 4 * math.prod(shape)) for shape in map(_sizes, held)), layers),
        parts=len((path / PARAM).read_text().splitlines()) - 2,
        notes=tuple(note for dtype, note in NOTES.items() if dtype in counts),
    )


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A line of the graph: the tensors that it takes and gives by name, and its numbered parameters that are integers."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[int, int]

    @property
    def integer(self) -> bool:
        """Whether it computes in 8 bits."""
        return self.kind in WITH_TABLE and self.numbers.get(8, 0) > 0

    @property
    def hands_on_integers(self) -> bool:
        """Whether what it gives is in 8 bits, for a convolution that takes it so."""
        return self.integer and self.numbers[8] > 100


def operators(path: Path) -> tuple[Operator, ...]:
    """Return the graph's operators, in the order of their execution."""
    return tuple(map(_operator, (path / PARAM).read_text().splitlines()[2:]))


def _operator(line: str) -> Operator:
    kind, name, inputs, outputs, *rest = line.split()
    tensors = rest[: int(inputs) + int(outputs)]
    pairs = dict(word.split("=", 1) for word in rest[len(tensors) :] if "=" in word)
    numbers = {int(key): int(value) for key, value in pairs.items() if value.lstrip("-").isdigit() and int(key) >= 0}
    input_names, output_names = tuple(tensors[: int(inputs)]), tuple(tensors[int(inputs) :])
    return Operator(kind=kind, name=name, inputs=input_names, outputs=output_names, numbers=numbers)


class _Blob(NamedTuple):
    """So many numbers of the weights' file: weights of a `shape` have a tag before them, which tells their width."""

    size: int
    shape: tuple[int, ...] = ()
    tagged: bool = True


def stored(path: Path) -> Iterator[tuple[str, Layer, np.ndarray | None]]:
    """Yield each layer with weights by its operator's name, with the weights where they are float32.

    Reads the weights' file along the graph; raises Defect where it is not of it.
    """
    content, place = (path / BIN).read_bytes(), 0
    passed: set[str] = set()
    for line in operators(path):
        if line.kind not in _BLOBS:
            passed.add(line.kind)
            continue
        for blob in (*_BLOBS[line.kind](line.numbers), *_scales(line)):
            tag = int.from_bytes(content[place : place + 4], "little") if blob.tagged else 0
            if tag not in TAGS:
                raise Defect(f"the weights of {line.kind} in {BIN} begin with {tag:#x}, which is none of ncnn's marks")
            dtype, width = TAGS[tag]
            place += 4 * blob.tagged
            held = content[place : place + blob.size * width]
            place += (blob.size * width + 3) // 4 * 4
            if blob.shape:
                whole = dtype == "float32" and len(held) == blob.size * width
                values = np.frombuffer(held, "<f4").reshape(blob.shape) if whole else None
                narrow = line.kind in WITH_TABLE
                yield line.name, Layer(operator=line.kind, shape=blob.shape, dtype=dtype, quantizable=narrow), values
    if place != len(content):
        others = f"; supposed to have none: {', '.join(sorted(passed))}" if passed else ""
        raise Defect(f"{BIN} has {len(content):,} bytes, the layers of {PARAM} account for {place:,}{others}")


def _scales(line: Operator) -> list[_Blob]:
    """Return what follows 8-bit weights: their scales, that of what goes in, that of what goes on in 8 bits."""
    if not line.integer:
        return []
    number, depthwise = line.numbers, line.kind == "ConvolutionDepthWise"
    # a depthwise convolution has one for each group, or (2) one for all
    of_weights = number[0] if not depthwise else number[7] if number[8] % 100 == 1 else 1
    return [_vector(of_weights), _vector(1 + line.hands_on_integers)]


def _vector(size: int) -> _Blob:
    return _Blob(size, tagged=False)


def _convolution(number: Mapping[int, int], axes: int = 2) -> list[_Blob]:
    outputs, size, width = number[0], number[6], number[1]
    kernel = (number.get(11, width), width)[-axes:]
    inputs = size // (outputs * math.prod(kernel))  # of each group
    return [_Blob(size, (outputs, inputs, *kernel)), _vector(outputs * number.get(5, 0))]


def _inner_product(number: Mapping[int, int]) -> list[_Blob]:
    outputs, size = number[0], number[2]
    return [_Blob(size, (outputs, size // outputs)), _vector(outputs * number.get(1, 0))]


def _product_of_matrices(number: Mapping[int, int]) -> list[_Blob]:
    """A product where one side or both may be constant, as torch's Linear on several tokens."""
    rows, columns, inner = (number.get(axis, 0) for axis in (7, 8, 9))
    added = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}.get(number.get(10, -1))
    return [
        *([_Blob(rows * inner, (rows, inner))] if number.get(4) else ()),
        *([_Blob(inner * columns, (columns, inner))] if number.get(5) else ()),
        *([_Blob(added)] if number.get(6) and added else ()),
    ]


def _recurrent(gates: int, biases: int, number: Mapping[int, int]) -> list[_Blob]:
    """A layer of so many gates: the weights of its input, the biases, the weights of its state, of each direction."""
    outputs, directions = number[0], 1 + (number.get(2, 0) == 2)
    hidden = number.get(3, outputs) if gates == 4 else outputs
    inputs = number[1] // (directions * hidden * gates)
    return [
        _Blob(number[1], (directions * hidden * gates, inputs)),
        _Blob(directions * hidden * biases),
        _Blob(directions * hidden * gates * outputs, (directions * hidden * gates, outputs)),
        *([_Blob(directions * hidden * outputs, (directions * outputs, hidden))] if hidden != outputs else ()),
    ]


def _attention(number: Mapping[int, int]) -> list[_Blob]:
    width, size = number[0], number[2]
    query = size // width
    inputs = (query, number.get(3, width), number.get(4, width))
    to = [blob for n in inputs for blob in (_Blob(width * n, (width, n)), _vector(width))]
    return [*to, _Blob(size, (query, width)), _vector(query)]


def _sizes(number: Mapping[int, int]) -> tuple[int, ...]:
    """Return the shape of a constant."""
    return tuple(number.get(axis) or 1 for axis in (0, 1, 11, 2))


# ncnn's numbered parameters: https://github.com/Tencent/ncnn/wiki/operators
_BLOBS: dict[str, Callable[[Mapping[int, int]], list[_Blob]]] = {
    "Convolution": _convolution,
    "ConvolutionDepthWise": _convolution,
    "Convolution1D": partial(_convolution, axes=1),
    "ConvolutionDepthWise1D": partial(_convolution, axes=1),
    "Deconvolution": _convolution,
    "DeconvolutionDepthWise": _convolution,
    "InnerProduct": _inner_product,
    "Gemm": _product_of_matrices,
    "MultiHeadAttention": _attention,
    "GRU": partial(_recurrent, 3, 4),
    "LSTM": partial(_recurrent, 4, 4),
    "RNN": partial(_recurrent, 1, 1),
    "BatchNorm": lambda n: [_vector(4 * n[0])],
    "Scale": lambda n: [_vector(n[0] * (1 + n.get(1, 0)))],
    "Bias": lambda n: [_vector(n[0])],
    "PReLU": lambda n: [_vector(n[0])],
    "LayerNorm": lambda n: [_vector(2 * n[0] * n.get(2, 1))],
    "RMSNorm": lambda n: [_vector(n[0] * n.get(2, 1))],
    "GroupNorm": lambda n: [_vector(2 * n[1] * n.get(3, 1))],
    "InstanceNorm": lambda n: [_vector(2 * n[0] * n.get(2, 1))],
    "MemoryData": lambda n: [_vector(math.prod(_sizes(n)))],
}


def run(path: Path, images: np.ndarray) -> np.ndarray:
    return isolated.logits("ncnn", _PROGRAM, path, images)
