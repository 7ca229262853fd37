"""A .tflite graph that rewrites change: tensors, constants and operators by index, and a file without what is left over."""

import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from export.formats import _tflite_file

DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}


LARGER = 1 / 4  # of its size that a file may grow by


class Graph:
    """The one graph of a file; `whole` is false where the file has several, which no rewrite follows.

    `room` is how many bytes the file may still grow by.
    """

    def __init__(self, content: bytes) -> None:
        self.model = _tflite_file.parse(content)
        self.graph = self.model.subgraphs[0]
        self.whole = len(self.model.subgraphs) == 1
        self.room = len(content) * LARGER

    @property
    def operators(self) -> list[Any]:
        return self.graph.operators

    def name(self, operator: Any) -> str:
        return flatbuffer_utils.opcode_to_name(self.model, operator.opcodeIndex)

    def tensor(self, index: int) -> Any:
        return self.graph.tensors[index]

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.tensor(index).shape)

    def label(self, index: int) -> str:
        """Return a tensor's name as text."""
        return self.tensor(index).name.decode()

    def short(self, index: int) -> str:
        """Return the end of a tensor's name: converters write whole paths, and a rewrite names several tensors by it."""
        return self.label(index).rstrip(";").rpartition("/")[2].rpartition(".")[2]

    def data(self, index: int) -> np.ndarray | None:
        """Return a stored tensor's values, None where it is computed, or stored in a way that is not read here."""
        if index < 0:
            return None
        tensor = self.tensor(index)
        stored = self.model.buffers[tensor.buffer].data
        if stored is None or not len(stored) or tensor.type not in DTYPES or tensor.sparsity is not None:
            return None
        return np.frombuffer(bytes(stored), DTYPES[tensor.type]).reshape(self.shape(index))

    def users(self, index: int) -> list[Any]:
        return [operator for operator in self.operators if index in operator.inputs]

    def only_user(self, index: int) -> Any:
        """Return the one operator that reads a tensor which is no output; None where there is another."""
        users = self.users(index)
        return users[0] if len(users) == 1 and index not in self.graph.outputs else None

    def widened(self, index: int) -> tuple[int, Any]:
        """Return where a weight is stored, and the DEQUANTIZE that widens a narrow one for its user, None without one."""
        for operator in self.operators:
            if index in operator.outputs:
                return (operator.inputs[0], operator) if self.name(operator) == "DEQUANTIZE" else (index, None)
        return index, None

    def constant(self, name: str, values: np.ndarray, like: Any = None, quantization: Any = None) -> int:
        """Store values as a new tensor, of the type of the tensor `like` where one is given; return its index."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        type_ = like.type if like is not None else schema.TensorType.INT32
        return self._add(name, values.shape, type_, len(self.model.buffers) - 1, quantization)

    def computed(self, name: str, shape: tuple[int, ...], like: Any) -> int:
        """Add a tensor that an operator computes, with the type and scale of `like`; return its index."""
        index = self._add(name, shape, like.type, 0, copy.deepcopy(like.quantization))
        if like.shapeSignature is not None:
            self.tensor(index).shapeSignature = [like.shapeSignature[0], *shape[1:]]
        return index

    def _add(self, name: str, shape: tuple[int, ...], type_: int, buffer: int, quantization: Any) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), type_
        tensor.buffer, tensor.quantization, tensor.hasRank = buffer, quantization, True
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, kind: str, inputs: list[int], output: int, options: Any) -> Any:
        """Return a new operator, for the caller to put in its place."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind))
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        operator.builtinOptions = options
        return operator

    def reshape(self, source: int, target: int) -> Any:
        """Return an operator that views a tensor in the shape of another; any batch stays any."""
        shape = np.array(self.shape(target), np.int32)
        if self.is_any_batch:
            shape[0] = -1
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        return self.operator("RESHAPE", [source, self.constant(f"{self.short(target)}/shape", shape)], target, options)

    @property
    def is_any_batch(self) -> bool:
        signature = self.tensor(self.graph.inputs[0]).shapeSignature
        return signature is not None and int(signature[0]) == -1

    def _code(self, builtin: int) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def replace(self, operator: Any, *others: Any) -> None:
        """Put others in an operator's place; none take it away."""
        place = next(i for i, one in enumerate(self.operators) if one is operator)
        self.operators[place : place + 1] = others

    def content(self) -> bytes:
        """Return the file, without tensors, buffers and operator codes that nothing uses any more."""
        self._drop_operators()
        self._drop_tensors()
        self._drop_buffers()
        used = sorted({operator.opcodeIndex for operator in self.operators})
        self.model.operatorCodes = [self.model.operatorCodes[i] for i in used]
        for operator in self.operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
        return _tflite_file.serialized(self.model)

    def _drop_operators(self) -> None:
        """Leave out what widens weights that nothing reads any more."""
        read = {int(i) for operator in self.operators for i in operator.inputs} | {int(i) for i in self.graph.outputs}
        self.graph.operators = [
            operator
            for operator in self.operators
            if self.name(operator) != "DEQUANTIZE" or read & {int(i) for i in operator.outputs}
        ]

    def _drop_tensors(self) -> None:
        lists = [(x, name) for x in (self.graph, *self.operators) for name in ("inputs", "outputs")]
        lists += [(o, "intermediates") for o in self.operators if o.intermediates is not None]
        used = {int(i) for holder, name in lists for i in getattr(holder, name) if i >= 0}
        blockwise = {i: details for i in used if (details := _blockwise(self.graph.tensors[i])) is not None}
        used |= {i for details in blockwise.values() for i in (details.scales, details.zeroPoints) if i >= 0}
        place = {index: new for new, index in enumerate(sorted(used))} | {-1: -1}
        self.graph.tensors = [self.graph.tensors[index] for index in sorted(used)]
        for holder, name in lists:
            setattr(holder, name, [place[int(i)] for i in getattr(holder, name)])
        for details in blockwise.values():
            details.scales, details.zeroPoints = place[details.scales], place[details.zeroPoints]
        for signature in self.model.signatureDefs or ():
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = place[int(entry.tensorIndex)]

    def _drop_buffers(self) -> None:
        holders = [*self.graph.tensors, *(self.model.metadata or ())]
        used = sorted({0, *(holder.buffer for holder in holders)})  # the first one is empty, and stands for no buffer
        self.model.buffers = [self.model.buffers[index] for index in used]
        for holder in holders:
            holder.buffer = used.index(holder.buffer)


def _blockwise(tensor: Any) -> Any:
    """Return the details of scales that are shared by blocks of weights, which are tensors of their own; None without."""
    details = tensor.quantization.details if tensor.quantization is not None else None
    return details if isinstance(details, schema.BlockwiseQuantizationT) else None
