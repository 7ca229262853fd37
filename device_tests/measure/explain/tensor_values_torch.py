"""Opens TorchScript files and exported programs: their own operators, one after the other."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.explain.compare import Graph, Node, Values, channel_shapes, settled, without_batch_norms
from export.formats import _torchscript

_SAME = {"_convolution": "conv", "convolution": "conv", "conv1d": "conv", "conv2d": "conv", "linear_dynamic": "linear",
         "batch_norm2d": "batch_norm", "_native_batch_norm_legit_no_training": "batch_norm", "_softmax": "softmax",
         "bmm": "matmul"}  # fmt: skip
_ROUNDING = re.compile(r"(de)?quantize(_per_\w+|_affine)?$")
# operators that only change the shape or the type of values, or inspect them
_MOVING = re.compile(
    r"_?to(_copy)?$|contiguous|clone|alias|detach|(feature_)?dropout|flatten|reshape|view|(un)?squeeze|transpose|permute"
    r"|t$|expand|size|Int|NumToTensor|choose_qparams.*|\w*Construct|\w*Unpack|getitem|_guards_fn|slice|select"
)
_WEIGHTED = (("conv",), ("linear",))  # the first kind of a node


def kinds(operator: str) -> tuple[str, ...]:
    """Return the operators that one of PyTorch's fuses, in common words: `quantized::conv2d_relu` fuses two."""
    name = operator.rpartition("::")[2].rpartition(".")[2]
    if _ROUNDING.match(name) or _MOVING.match(name):
        return ()
    name, relu = re.subn(r"_relu$", "", name) if operator.startswith("quantized::") else (name, 0)
    return (_SAME.get(name, name.rstrip("_")), *("relu",) * relu)


def _node(operator: str, inputs: tuple[str, ...], output: str) -> Node:
    rounds = bool(_ROUNDING.match(operator.rpartition("::")[2]))
    return Node(kinds=kinds(operator), inputs=inputs, outputs=(output,), rounds=rounds)


def _with_weights(node: Node, constant: Any) -> Node:
    """Return a node with facts on its weights; an engine's packed weights and torchao's cannot be read."""
    import torch

    if not hasattr(constant, "numel"):
        return replace(node, weights=1)
    floats = constant.is_floating_point() and constant.ndim > 1 and type(constant.data) is torch.Tensor
    shapes = channel_shapes(constant.detach().float().numpy(), 0) if floats else ()
    return replace(node, weights=constant.numel(), shapes=shapes)


def _wide(value: Any) -> np.ndarray:
    return (value.dequantize() if value.is_quantized else value).detach().float().numpy()


class _Graph(Graph):
    """The base of both kinds of graph, whose `forced` computes the value of every name in order."""

    named = False

    def __init__(self, nodes: list[Node]) -> None:
        self._settled = settled(nodes)
        self.nodes = without_batch_norms(nodes)

    def values(self, image: np.ndarray) -> Values:
        tensors = self.forced(image, {})
        return {name: tensors[self._settled.get(name, name)] for name in tensors}


class TorchScript(_Graph):
    """A .pt file, frozen: a graph without control flow, as tracing gives."""

    def __init__(self, file: Path) -> None:
        import torch

        with _torchscript.quiet():
            graph = torch.jit.freeze(torch.jit.load(file).eval()).graph
        _, image = graph.inputs()
        (answer,) = graph.outputs()
        self.input, self.output = image.debugName(), answer.debugName()
        self._constants: dict[str, Any] = {}
        self._steps: list[tuple[Callable[..., Any], list[str], str]] = []
        nodes: list[Node] = []
        computed = {self.input}
        for node in graph.nodes():
            inputs, outputs = [v.debugName() for v in node.inputs()], [v.debugName() for v in node.outputs()]
            if node.kind() == "prim::Constant":
                self._constants[outputs[0]] = node.output().toIValue()
                continue
            self._steps.append((_operator(node), inputs, outputs[0]))
            taken = tuple(name for name in inputs if name in computed)
            if taken:
                computed.add(outputs[0])
                result = _node(node.kind(), taken, outputs[0])
                if result.kinds[:1] in _WEIGHTED and inputs[1] in self._constants:
                    result = _with_weights(result, self._constants[inputs[1]])
                nodes.append(result)
        super().__init__(nodes)

    def forced(self, image: np.ndarray, given: Values) -> Values:
        import torch

        def received(name: str, value: Any) -> Any:
            return torch.from_numpy(np.ascontiguousarray(given[name])) if name in given else value

        tensors = {self.input: image}
        environment = self._constants | {self.input: received(self.input, torch.from_numpy(image))}
        with _torchscript.quiet(), torch.inference_mode():
            for operator, inputs, output in self._steps:
                value = operator(*(environment[name] for name in inputs))
                if isinstance(value, torch.Tensor):
                    tensors[output] = _wide(value)
                    value = received(output, value)
                environment[output] = value
        return tensors


def _operator(node: Any) -> Callable[..., Any]:
    """Return a function of the node's inputs in their order, which calls exactly the overload that the graph names."""
    import torch

    if node.kind() in ("prim::ListConstruct", "prim::TupleConstruct"):
        return lambda *values: list(values)
    schema = torch._C.parse_schema(node.schema())
    operator, *_ = torch._C._get_operation_overload(schema.name, schema.overload_name)
    named = [argument.name for argument in schema.arguments if argument.kwarg_only]
    places = len(schema.arguments) - len(named)
    return lambda *values: operator(*values[:places], **dict(zip(named, values[places:], strict=True)))


class Program(_Graph):
    """An exported program, interpreted by torch.fx."""

    def __init__(self, program: Any) -> None:
        self._module = program.module()
        graph = self._module.graph
        (image,) = (node for node in graph.nodes if node.op == "placeholder")
        (answer,) = (node for node in graph.nodes if node.op == "output")
        (last,) = answer.all_input_nodes
        self.input, self.output = image.name, last.name
        computed, nodes = {self.input}, []
        for node in graph.nodes:
            taken = tuple(n.name for n in node.all_input_nodes if n.name in computed)
            if taken and node.op.startswith("call"):
                computed.add(node.name)
                called = node.target
                result = _node(
                    called._schema.name if hasattr(called, "_schema") else getattr(called, "__name__", ""),
                    taken,
                    node.name,
                )
                if result.kinds[:1] in _WEIGHTED and node.args[1].name not in taken:
                    result = _with_weights(result, self._constant(node.args[1]))
                nodes.append(result)
        super().__init__(nodes)

    def _constant(self, weight: Any) -> Any:
        """Return a constant, which the program may dequantize first."""
        while weight.op != "get_attr" and weight.all_input_nodes:
            weight = weight.all_input_nodes[0]
        value: Any = self._module
        for part in str(weight.target).split("."):
            value = getattr(value, part, None)
        return value

    def forced(self, image: np.ndarray, given: Values) -> Values:
        import torch

        computed = {self.input: image}

        class Keeping(torch.fx.Interpreter):
            def run_node(self, node: Any) -> Any:
                value = super().run_node(node)
                if isinstance(value, torch.Tensor) and node.op.startswith("call"):
                    computed[node.name] = _wide(value)
                return torch.from_numpy(np.ascontiguousarray(given[node.name])) if node.name in given else value

        with torch.no_grad():
            Keeping(self._module).run(torch.from_numpy(image))
        return computed
