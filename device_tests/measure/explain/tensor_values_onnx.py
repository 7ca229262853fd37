"""Opens .onnx files: onnxruntime with every tensor as an output, or operator by operator on values that are given."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from device_tests.measure.explain.compare import Node, Values, channel_shapes, settled, stepwise

_ROUNDING = ("QuantizeLinear", "DequantizeLinear")
_MOVING = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Identity")
_WEIGHTS = {"Conv": 1, "Gemm": 1, "MatMul": 1, "ConvTranspose": 1, "MatMulNBits": 1, "MatMulInteger": 1,
            "ConvInteger": 1}  # fmt: skip


class Graph:
    """An .onnx file with one input and one output; see compare.Graph."""

    named = True

    def __init__(self, file: Path) -> None:
        self._model = onnx.load(file)
        graph = self._model.graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self._activations = {self.input}
        for node in graph.node:
            if self._activations & set(node.input):
                self._activations |= set(filter(None, node.output))
        self._taken = [node for node in graph.node if set(node.output) & self._activations]
        self.nodes = tuple(self._node(node) for node in self._taken)
        self._settled = settled(self.nodes)
        self._whole: Any = None
        self._steps: list[Callable[[Values], Values]] = []

    def values(self, image: np.ndarray) -> Values:
        """Run the graph with every tensor, as its consumers receive it, as an output; kernels stay fused that way."""
        if self._whole is None:
            self._whole = self._session_of_all()
        session, names = self._whole
        tensors = {self.input: image} | dict(zip(names, session.run(names, {self.input: image}), strict=True))
        return {name: tensors[of] for name, of in self._settled.items() if of in tensors}

    def forced(self, image: np.ndarray, given: Values) -> Values:
        if not self._steps:
            self._steps = [self._step(node) for node in self._model.graph.node]
        computed = stepwise(self.input, image, given, self._steps)
        return {name: value for name, value in computed.items() if name in self._activations}

    def _node(self, node: onnx.NodeProto) -> Node:
        weights, shapes = 0, ()
        if node.op_type in _WEIGHTS and (name := node.input[_WEIGHTS[node.op_type]]) not in self._activations:
            weights, shapes = self._size(name), self._shapes(node, name)
        inert = node.op_type in (*_ROUNDING, *_MOVING)
        return Node(
            kinds=() if inert else (node.op_type,),
            inputs=tuple(name for name in node.input if name in self._activations),
            outputs=tuple(filter(None, node.output)),
            weights=weights,
            shapes=shapes,
            rounds=node.op_type in _ROUNDING,
        )

    def _size(self, name: str) -> int:
        """Return the number of weights in a constant, which the graph may widen first."""
        makers = {output: node for node in self._model.graph.node for output in node.output}
        while name not in self._tensors and name in makers:
            name = makers[name].input[0]
        return math.prod(self._tensors[name].dims) if name in self._tensors else 1

    def _shapes(self, node: onnx.NodeProto, name: str) -> tuple[float, ...]:
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            return ()
        turned = node.op_type == "Gemm" and any(entry.name == "transB" and entry.i for entry in node.attribute)
        axis = 0 if node.op_type == "Conv" or turned else 1 if node.op_type == "ConvTranspose" else -1
        return channel_shapes(onnx.numpy_helper.to_array(tensor), axis)

    def _session_of_all(self) -> tuple[Any, list[str]]:
        """Load the graph with every float tensor as an output; onnxruntime itself says which tensors are floats."""
        ranges = {name for node in self._taken if node.op_type == "DynamicQuantizeLinear" for name in node.output}
        names = dict.fromkeys(name for name in self._settled.values() if name != self.input and name not in ranges)
        dtypes = {value.name: value.type for value in self._with_outputs(names).get_outputs()}
        floats = [name for name in names if dtypes[name] == "tensor(float)"]
        return self._with_outputs(floats), floats

    def _with_outputs(self, names: Iterable[str]) -> Any:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        given = {value.name for value in model.graph.output}
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in given)
        return _session(model)

    def _step(self, node: onnx.NodeProto) -> Callable[[Values], Values]:
        """Load one operator with its constants; its other operands are inputs."""
        constants = [self._tensors[name] for name in dict.fromkeys(node.input) if name in self._tensors]
        inputs = [name for name in dict.fromkeys(node.input) if name and name not in self._tensors]
        outputs = [name for name in node.output if name]
        values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inputs]
        results = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs]
        model = onnx.helper.make_model(
            onnx.helper.make_graph([node], "step", values, results, constants),
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
        )
        session = _session(model)

        def run(received: Values) -> Values:
            taken = {name: received[name] for name in inputs}
            return dict(zip(outputs, session.run(outputs, taken), strict=True))

        return run


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
