"""The .tflite flatbuffer itself: what is in it, and the few edits that no converter makes."""

import math
from collections import Counter
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from export.contract import Contents, Layer, Tensor, tables, weights_by_dtype
from models.common.errors import Unsupported

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D", "BATCH_MATMUL")
_ALIGNMENT = 16  # bytes


class _AlignedBuilder(flatbuffers.Builder):
    """Aligns weights as the schema's force_align says, which its Python classes forget and Arm's loads may need."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803 - flatbuffers' names
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)


def parse(content: bytes) -> Any:
    """Return the file as a tree of the schema's objects."""
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def serialized(model: Any) -> bytes:
    for buffer in model.buffers:
        if buffer.data is not None and type(buffer.data) is not np.ndarray:  # which would be written byte by byte
            buffer.data = np.frombuffer(bytes(buffer.data), np.uint8)
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def tidied(content: bytes, description: str = "") -> bytes:
    """Return the file with its input called `image` and its output `logits`, and described in a person's words.

    Biases become vectors: LiteRT's converter leaves axes of one element where it folds a factor into a dense layer, and its
    quantizer then writes a scale for each bias into an axis that has but one.
    """
    model = parse(content)
    model.description = description
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    for name, entries in (("image", signature.inputs), ("logits", signature.outputs)):
        (entry,) = entries
        entry.name = graph.tensors[entry.tensorIndex].name = name
    for operator in graph.operators:
        name = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") and len(operator.inputs) > 2:
            bias = graph.tensors[operator.inputs[2]]
            if operator.inputs[2] >= 0 and len(bias.shape) > 1:
                bias.shape = [math.prod(map(int, bias.shape))]
    return serialized(model)


def freed(content: bytes) -> bytes:
    """Return a file for one image as one for any number, once an interpreter resizes its input.

    The shapes that are stored for one image are left open where they begin with it. No converter gives such a file
    without operators that compute shapes, which split the delegate in two; whether it holds must be tried. Raises
    Unsupported for a shape that cannot be left open: XNNPACK does not look at it, the interpreter's own kernels do.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        name = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        if name in ("TRANSPOSE_CONV", "BROADCAST_TO"):
            msg = f"a .tflite file for any batch cannot have {name}, which stores its output's shape for one image"
            raise Unsupported(msg)
        if name == "RESHAPE":
            buffer = model.buffers[graph.tensors[operator.inputs[1]].buffer]
            if buffer.data is not None:
                shape = np.frombuffer(bytes(buffer.data), np.int32).copy()
                shape[0] = shape[0] if -1 in shape else -1
                buffer.data = np.frombuffer(shape.tobytes(), np.uint8)
                if operator.builtinOptions is not None:
                    operator.builtinOptions.newShape = shape
    for index in (*graph.inputs, *graph.outputs):
        graph.tensors[index].shapeSignature = [-1, *map(int, graph.tensors[index].shape[1:])]
    return serialized(model)


def with_uint8_io(content: bytes) -> bytes:
    """Return an int8 file that takes and gives float32 as one that takes and gives uint8.

    The ops that quantize the input and dequantize the output then only move int8's zero point.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    names = [flatbuffer_utils.opcode_to_name(model, i) for i in range(len(model.operatorCodes))]
    first, *others = (op for op in graph.operators if graph.inputs[0] in op.inputs)  # several where the graph branches
    (last,) = (op for op in graph.operators if graph.outputs[0] in op.outputs)
    ends = names[first.opcodeIndex], *(names[op.opcodeIndex] for op in others), names[last.opcodeIndex]
    if {*ends[:-1]} != {"QUANTIZE"} or ends[-1] != "DEQUANTIZE":
        raise Unsupported(
            "the graph's input and output are not both integers: a whole int8 graph begins with QUANTIZE and ends with "
            f"DEQUANTIZE, this one with {' and '.join(ends)}"
        )
    last.opcodeIndex = first.opcodeIndex
    last.builtinOptionsType, last.builtinOptions = first.builtinOptionsType, first.builtinOptions
    for outer, inner in ((first.inputs[0], first.outputs[0]), (last.outputs[0], last.inputs[0])):
        quantization = graph.tensors[inner].quantization
        graph.tensors[outer].type = schema.TensorType.UINT8
        graph.tensors[outer].quantization = schema.QuantizationParametersT(
            scale=list(quantization.scale), zeroPoint=[quantization.zeroPoint[0] + 128]
        )
    return serialized(model)


def dense_layers(content: bytes) -> list[tuple[str, int]]:
    """Return each dense layer's (name of its output, number of its inputs)."""
    model = parse(content)
    tensors = model.subgraphs[0].tensors
    return [
        (tensors[op.outputs[0]].name.decode(), int(tensors[op.inputs[1]].shape[1]))
        for op in model.subgraphs[0].operators
        if flatbuffer_utils.opcode_to_name(model, op.opcodeIndex) == "FULLY_CONNECTED"
    ]


def operators(content: bytes) -> dict[str, str]:
    """Return the name of each operator's output by a short one: its kind and place among its kind, such as `conv_2d1`."""
    model = parse(content)
    seen: Counter[str] = Counter()
    outputs = {}
    for operator in model.subgraphs[0].operators:
        kind = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex).lower()
        seen[kind] += 1
        outputs[f"{kind}{seen[kind]}"] = model.subgraphs[0].tensors[operator.outputs[0]].name.decode()
    return outputs


def nested_operators(content: bytes) -> list[str]:
    """Return the names of the outputs of operators that are part of another operator."""
    graphs = parse(content).subgraphs[1:]
    return sorted({graph.tensors[op.outputs[0]].name.decode() for graph in graphs for op in graph.operators})


def contents(content: bytes) -> Contents:
    """Return what is inside the file."""
    model = parse(content)
    graph = model.subgraphs[0]
    ops = [(flatbuffer_utils.opcode_to_name(model, op.opcodeIndex), op) for op in graph.operators]
    layers = _layers(model, ops)
    # several tensors may share a buffer; a scalar has no shape
    stored = {
        t.buffer: (_dtype(t), tuple(map(int, [] if t.shape is None else t.shape)), len(model.buffers[t.buffer].data))
        for t in graph.tensors
        if model.buffers[t.buffer].data is not None
    }
    named = {dtype: [str(layer) for layer in layers if layer.dtype == dtype] for dtype in weights_by_dtype(layers)}
    mixed = [f"weights in {dtype}: {', '.join(named[dtype])}" for dtype in sorted(named)] if len(named) != 1 else []
    return Contents(
        inputs=tuple(_tensor(graph.tensors[i]) for i in graph.inputs),
        outputs=tuple(_tensor(graph.tensors[i]) for i in graph.outputs),
        weights=weights_by_dtype(layers),
        layers=tuple(layers),
        constants=sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None),
        tables=tables(stored.values(), layers),
        parts=sum(len(g.operators) for g in model.subgraphs),
        notes=(*filter(None, [(model.description or b"").decode()]), *mixed, *_slow_parts(model, ops)),
    )


def _dtype(tensor: Any) -> str:
    return flatbuffer_utils.type_to_name(tensor.type).lower()


def _tensor(tensor: Any) -> Tensor:
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    return Tensor(
        name=tensor.name.decode(),
        shape=tuple(int(n) for n in (tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature)),
        dtype=_dtype(tensor),
        scale=float(quantization.scale[0]) if quantized else None,
        zero_point=int(quantization.zeroPoint[0]) if quantized else None,
    )


def _layers(model: Any, ops: list[tuple[str, Any]]) -> list[Layer]:
    """Return the operators with stored weights; a product of two activations has none."""
    tensors = model.subgraphs[0].tensors
    dequantized = {op.outputs[0]: op.inputs[0] for name, op in ops if name == "DEQUANTIZE"}
    layers = []
    for name, op in ops:
        if name in _WEIGHTED:
            kernel = tensors[dequantized.get(op.inputs[1], op.inputs[1])]
            if model.buffers[kernel.buffer].data is not None:
                layers.append(Layer(operator=name, shape=tuple(int(n) for n in kernel.shape), dtype=_dtype(kernel)))
    return layers


def _slow_parts(model: Any, ops: list[tuple[str, Any]]) -> list[str]:
    """Say which ops a statically quantized graph computes in float, and what takes a graph off the fast kernels."""
    tensors = model.subgraphs[0].tensors

    def activations(op: Any) -> set[str]:
        every = [tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        return {_dtype(tensor) for tensor in every if model.buffers[tensor.buffer].data is None}

    computing = [(name, activations(op)) for name, op in ops if name not in ("QUANTIZE", "DEQUANTIZE")]
    dtypes = set().union(*(d for _, d in computing))
    notes = []
    if dtypes & {"int8", "int16"} and "float32" in dtypes:
        notes.append(f"computed in float32: {', '.join(name for name, d in computing if 'float32' in d)}")
    if "int16" in dtypes:
        notes.append("16-bit activations: XNNPACK takes none of it, the interpreter's own kernels run")
    return notes
