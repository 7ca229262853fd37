"""What .onnx and .ort files share: how onnxruntime runs them, and what a graph says of its weights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.contract import BITS, Contents, Layer, Tensor, tables
from export.formats import _batches

if TYPE_CHECKING:
    import onnx
    import onnxruntime

# operators that compute in float32 unless DequantizeLinear stands before both operands
_FLOAT_OPERATORS = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "ConvTranspose")
# operators with weights, and which of their inputs the weights are
_WEIGHTED = dict.fromkeys((*_FLOAT_OPERATORS, "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat"), 1) | {
    "DynamicQuantizeMatMul": 1, "QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3, "Gather": 0,
}  # fmt: skip
_NOT_QUANTIZED = ("ConvTranspose", "Gather")  # which the static scheme leaves alone
_WIDENING = ("DequantizeLinear", "Cast", "Mul", "Transpose", "Reshape", "Identity")  # what may stand before a weight


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What both file formats hold: stored tensors (dtype and shape by name) and nodes."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    nodes: tuple[onnx.NodeProto, ...]


def read(path: Path) -> Graph:
    """Return what an .onnx file holds."""
    import onnx

    graph = onnx.load(path).graph
    dtype_of = onnx.helper.tensor_dtype_to_np_dtype
    tensors = {t.name: (dtype_of(t.data_type).name, tuple(t.dims)) for t in graph.initializer}
    return Graph(tensors=tensors, nodes=tuple(graph.node))


def integers(node: onnx.NodeProto) -> dict[str, int]:
    """Return an operator's whole-number attributes."""
    return {attribute.name: attribute.i for attribute in node.attribute if attribute.type == attribute.INT}


def session(path: Path | bytes) -> onnxruntime.InferenceSession:
    """Load a file, or its content, for one thread of the CPU."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
    """Answer so many images at once: float32 [N,*input_shape] -> float32 [N,K]."""
    loaded = session(path)
    return _batches.answered(lambda images: loaded.run(["logits"], {"image": images})[0], images, batch)


def contents(path: Path, graph: Graph, widened: str) -> Contents:
    """Return what is inside; `widened` says when weights stored narrow become float32, for the notes."""
    loaded = session(path)
    layers = tuple(layer for _, layer in _layers(graph))
    stored = [(dtype, shape, int(np.prod(shape)) * np.dtype(dtype).itemsize) for dtype, shape in graph.tensors.values()]
    inputs = tuple(_tensor(value) for value in loaded.get_inputs())
    # as a rule these formats take any number of images
    counts = [f"{n} {'image' if n == 1 else 'images'}" for n in {tensor.shape[0] for tensor in inputs} - {-1}]
    return Contents(
        inputs=inputs,
        outputs=tuple(_tensor(value) for value in loaded.get_outputs()),
        weights=_weights(graph),
        layers=layers,
        constants=sum(size for *_, size in stored),
        tables=tables(stored, layers),
        parts=len(graph.nodes),
        notes=(
            *_notes(graph, widened),
            *(f"takes {count} at once and no other number: its graph is written for that" for count in counts),
        ),
    )


def _tensor(value: onnxruntime.NodeArg) -> Tensor:
    dtype = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Tensor(name=value.name, shape=shape, dtype={"float": "float32"}.get(dtype, dtype))


def _weights(graph: Graph) -> Counter[str]:
    counts: Counter[str] = Counter()
    constants: set[str] = set()
    for node in graph.nodes:
        if node.op_type == "MatMulNBits":  # its bytes hold two weights each, its scales are a matrix
            numbers = integers(node)
            counts[f"int{numbers['bits']}"] += numbers["K"] * numbers["N"]
            constants.update(node.input[1:])
    for name, (dtype, shape) in graph.tensors.items():
        size = int(np.prod(shape))
        # a vector, however shaped, is a bias or scales; whole numbers are indices
        if name not in constants and dtype in BITS and size > max(shape, default=1):
            counts[dtype] += size
    return counts


def _layers(graph: Graph) -> list[tuple[onnx.NodeProto, Layer]]:
    """Return the operators with stored weights; a product of two activations has none."""
    producers = {output: node for node in graph.nodes for output in node.output}
    layers = []
    for node in graph.nodes:
        if node.op_type == "MatMulNBits":
            numbers = integers(node)
            shape = numbers["N"], numbers["K"]
            layers.append((node, Layer(operator=node.op_type, shape=shape, dtype=f"int{numbers['bits']}")))
        elif node.op_type in _WEIGHTED:
            weight = node.input[_WEIGHTED[node.op_type]]
            while weight in producers and producers[weight].op_type in _WIDENING:
                weight = producers[weight].input[0]
            dtype, shape = graph.tensors.get(weight, ("", ()))
            if int(np.prod(shape)) > max(shape, default=1):
                quantizable = node.op_type not in _NOT_QUANTIZED
                if len(shape) == 2 and not integers(node).get("transB"):
                    shape = shape[::-1]
                layers.append((node, Layer(operator=node.op_type, shape=shape, dtype=dtype, quantizable=quantizable)))
    return layers


def _notes(graph: Graph, widened: str) -> tuple[str, ...]:
    """Say which layers have float32 weights in a file that holds narrower ones, and which only store them narrow."""
    producers = {output: node for node in graph.nodes for output in node.output}
    layers: dict[str, list[str]] = defaultdict(list)
    for node, layer in _layers(graph):
        operands = [producers.get(name) for name in node.input[:2]]
        if node.op_type in _FLOAT_OPERATORS and not all(o and o.op_type == "DequantizeLinear" for o in operands):
            layers[layer.dtype].append(node.name)
    if set(_weights(graph)) == {"float32"}:
        return ()
    return tuple(
        f"{', '.join(sorted(names))}: "
        + ("stayed float32" if dtype == "float32" else f"{dtype} weights, widened to float32 {widened}")
        for dtype, names in layers.items()
    )
