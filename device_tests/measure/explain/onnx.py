"""Placements of .onnx and .ort files: onnxruntime's own profile of one run shows which kernels it really executes."""

import json
import math
import tempfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.explain.placement import Facts
from device_tests.results.placements import Operator, Part
from export.formats import FORMATS
from export.formats._onnxruntime import Graph, integers

# operators with weights, and the index of the weight among their inputs
_FLOAT = {"Conv": 1, "ConvTranspose": 1, "FusedConv": 1, "Gemm": 1, "FusedGemm": 1, "MatMul": 1}
_INTEGER = {"QLinearConv": 3, "QGemm": 3, "QLinearMatMul": 3, "DynamicQuantizeMatMul": 1, "MatMulIntegerToFloat": 1,
            "MatMulInteger": 1, "ConvInteger": 1, "MatMulNBits": 1}  # fmt: skip
_INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy_level


def explain(path: Path, runtime: str) -> Facts:
    """Run the file once with profiling on."""
    weights = iter(_weights(FORMATS[path.suffix.lstrip(".")].read(path)))
    operators = tuple(_operator(event, weights) for event in _profile(path))
    return Facts(
        operators=operators,
        parts=parts(path),
        library="onnxruntime's CPU provider (MLAS)",
        notes=_notes(operators),
    )


def _profile(path: Path) -> list[dict[str, Any]]:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (image,) = session.get_inputs()
        shape = [size if isinstance(size, int) else 1 for size in image.shape]
        session.run(None, {image.name: np.zeros(shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
    return [event["args"] for event in events if event["cat"] == "Node"]


def _weights(graph: Graph) -> list[tuple[str, bool, int]]:
    """Return each weight's dtype, whether its 4-bit products are integers, and its size, in the order of execution.

    A product of two activations has no weight: its dtype is "" and its size 0.
    """
    producers = {output: node for node in graph.nodes for output in node.output}
    # an .ort file lists fused nodes last, so nodes are sorted; each has one output
    needs = {output: [name for name in node.input if name in producers] for output, node in producers.items()}
    order = (producers[output] for output in TopologicalSorter(needs).static_order())
    return [_weight(node, graph, producers) for node in order if node.op_type in _FLOAT | _INTEGER]


def _weight(node: Any, graph: Graph, producers: dict[str, Any]) -> tuple[str, bool, int]:
    if node.op_type == "MatMulNBits":
        numbers = integers(node)
        return f"int{numbers['bits']}", numbers.get("accuracy_level") == _INT8_ACTIVATIONS, numbers["K"] * numbers["N"]
    name = node.input[(_FLOAT | _INTEGER)[node.op_type]]
    while name in producers:  # widened by Cast and Mul, or by DequantizeLinear
        name = producers[name].input[0]
    if name not in graph.tensors:
        return "", True, 0
    dtype, shape = graph.tensors[name]
    return dtype, True, math.prod(shape)


def _operator(event: dict[str, Any], weights: Iterator[tuple[str, bool, int]]) -> Operator:
    name, dtype = event["op_name"], next(iter(event["input_type_shape"][0]))
    activations = {"float": "float32"}.get(dtype, dtype)
    if name in _FLOAT | _INTEGER:
        stored, integer, parameters = next(weights)
        integer = integer and name in _INTEGER
        return Operator(name=name, weights=stored, activations=activations, integer=integer, parameters=parameters)
    return Operator(name=name, activations=activations, integer=not activations.startswith("float"))


def parts(path: Path) -> tuple[Part, ...]:
    """Return the parts of the file, also for the placement of another runtime that takes it."""
    graph = FORMATS[path.suffix.lstrip(".")].read(path)
    tensors = tuple(_part(name, dtype, shape) for name, (dtype, shape) in graph.tensors.items())
    rest = path.stat().st_size - sum(part.size_bytes for part in tensors)
    return (*tensors, Part(name="operators, attributes, names", section="graph", size_bytes=rest))


def _part(name: str, dtype: str, shape: tuple[int, ...]) -> Part:
    section = "weights" if math.prod(shape) > max(shape, default=1) else "biases and constants"
    return Part(name=name, section=section, size_bytes=math.prod(shape) * np.dtype(dtype).itemsize)


def _notes(operators: tuple[Operator, ...]) -> tuple[str, ...]:
    """Return notes on operators that a graph of integers computes in float, and on conversions between both."""
    if not any(o.activations == "uint8" and o.weights for o in operators):
        return ()
    names = [o.name for o in operators]
    pools = [o.name for o in operators if o.name == "MaxPool" and o.activations == "float32"]
    moves = sum(names.count(name) for name in ("QuantizeLinear", "DequantizeLinear", "Transpose"))
    notes = [f"{moves} of {len(names)} operators only convert or transpose"] if moves else []
    if pools:
        notes.append(f"{len(pools)} MaxPool in float32: their outputs have other scales than their inputs")
    return tuple(notes)
