"""Opens .tflite files: LiteRT with every tensor as an output, or operator by operator on values that are given."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import TensorType
from ai_edge_litert.tools import flatbuffer_utils

from device_tests.measure.explain.compare import Node, Values, channel_shapes, settled, stepwise
from device_tests.measure.explain.tflite import WEIGHTED, parameters_of
from export.formats import _tflite_file
from export.rewrites import pixels_as_channels

_ROUNDING = ("QUANTIZE", "DEQUANTIZE")
_MOVING = ("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS")


class Graph:
    """A .tflite file of one signature; see compare.Graph."""

    named = True

    def __init__(self, content: bytes) -> None:
        self._model = _tflite_file.parse(content)
        self._graph = self._model.subgraphs[0]
        self._names = _unique([tensor.name.decode() for tensor in self._graph.tensors])
        self._activations = {int(n) for n in self._graph.inputs}  # with all that is computed from them
        for operator in self._graph.operators:
            if self._activations & {int(n) for n in operator.inputs}:
                self._activations |= {int(n) for n in operator.outputs}
        self.nodes = tuple(self._node(operator) for operator in self._graph.operators)
        self.input, self.output = (self._names[n[0]] for n in (self._graph.inputs, self._graph.outputs))
        self._settled = settled(self.nodes)
        self._whole: Any = None
        self._steps: list[Any] = []

    def values(self, image: np.ndarray) -> Values:
        """Run the graph with its delegate; an interpreter that keeps all tensors would run other kernels."""
        if self._whole is None:
            outputs = [n for operator in self._graph.operators for n in operator.outputs if n in self._activations]
            self._whole = self._interpreter(self._graph.operators, list(self._graph.inputs), outputs)
        tensors = self._run(self._whole, {self.input: image}) | {self.input: self._wide(image, self._graph.inputs[0])}
        return {name: tensors[self._settled.get(name, name)] for name in tensors}

    def forced(self, image: np.ndarray, given: Values) -> Values:
        if not self._steps:
            self._steps = [self._step(operator) for operator in self._graph.operators]
        return stepwise(self.input, image, given, (partial(self._run, step) for step in self._steps))

    def _node(self, operator: Any) -> Node:
        name = flatbuffer_utils.opcode_to_name(self._model, operator.opcodeIndex)
        inputs = [int(n) for n in operator.inputs if n in self._activations]
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        activation = (f"activation {fused}",) if fused else ()
        weights, shapes = 0, ()
        if name in WEIGHTED and (kernel := int(operator.inputs[1])) not in self._activations:
            weights = parameters_of(self._graph.tensors[kernel])
            shapes = self._shapes(kernel, axis=3 if name == "DEPTHWISE_CONV_2D" else 0)
        return Node(
            kinds=() if name in (*_ROUNDING, *_MOVING) else (name, *activation),
            inputs=tuple(self._names[n] for n in inputs),
            outputs=tuple(self._names[n] for n in operator.outputs),
            weights=weights,
            shapes=shapes,
            rounds=name in _ROUNDING,
        )

    def _shapes(self, kernel: int, axis: int) -> tuple[float, ...]:
        tensor = self._graph.tensors[kernel]
        content = self._model.buffers[tensor.buffer].data
        if content is None or tensor.type != TensorType.FLOAT32:
            return ()
        weights = np.asarray(content, np.uint8).view(np.float32).reshape(tensor.shape)
        return channel_shapes(pixels_as_channels.as_converted(tensor.name.decode(), weights), axis)

    def _step(self, operator: Any) -> Any:
        inputs = [int(n) for n in operator.inputs if n in self._activations]
        return self._interpreter([operator], list(dict.fromkeys(inputs)), list(operator.outputs))

    def _interpreter(self, operators: list[Any], inputs: list[int], outputs: list[int]) -> Any:
        """Load some of the operators; a single one is loaded with its own constants only, which saves memory.

        The whole graph keeps all constants: no operator names the scales of 4-bit blocks.
        """
        graph, model = self._graph, self._model
        original = (graph.operators, graph.inputs, graph.outputs, model.signatureDefs, [b.data for b in model.buffers])
        used = {graph.tensors[n].buffer for operator in operators for n in operator.inputs if n >= 0}
        if operators is graph.operators:
            used = set(range(len(model.buffers)))
        try:
            graph.operators, graph.inputs, graph.outputs, model.signatureDefs = operators, inputs, outputs, []
            for i, buffer in enumerate(model.buffers):
                buffer.data = buffer.data if i in used else None
            interpreter = Interpreter(model_content=_tflite_file.serialized(model), num_threads=1)
        finally:
            graph.operators, graph.inputs, graph.outputs, model.signatureDefs, contents = original
            for buffer, data in zip(model.buffers, contents, strict=True):
                buffer.data = data
        interpreter.allocate_tensors()
        return interpreter, inputs, outputs

    def _run(self, step: Any, received: Values) -> Values:
        interpreter, inputs, outputs = step
        for detail, n in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], received[self._names[n]].astype(detail["dtype"], copy=False))
        interpreter.invoke()
        given = zip(interpreter.get_output_details(), outputs, strict=True)
        return {self._names[n]: self._wide(interpreter.get_tensor(detail["index"]), n) for detail, n in given}

    def _wide(self, value: np.ndarray, tensor: int) -> np.ndarray:
        quantization = self._graph.tensors[tensor].quantization
        scale = None if quantization is None else quantization.scale
        if scale is None or not len(scale) or value.dtype.kind not in "iu":
            return value
        return (value.astype(np.float32) - np.float32(quantization.zeroPoint[0])) * np.float32(scale[0])


def _unique(names: list[str]) -> list[str]:
    """Return the names, numbered where several are equal: litert-torch and quantizers give one name to several tensors."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        unique.append(f"{name}#{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return unique


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield, for each layer with weights, its operator and a .tflite file that ends there and gives its output."""
    for i in range(len(_tflite_file.parse(content).subgraphs[0].operators)):
        model = _tflite_file.parse(content)
        graph = model.subgraphs[0]
        name = flatbuffer_utils.opcode_to_name(model, graph.operators[i].opcodeIndex)
        if name in WEIGHTED:
            graph.operators = graph.operators[: i + 1]
            graph.outputs = graph.operators[-1].outputs
            model.signatureDefs = []
            yield name, _tflite_file.serialized(model)
