"""Turns the operators of an exported program into modules: quantizers look for modules, not for operators."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch writes it

aten = torch.ops.aten
# The functions that graph-mode quantization recognizes, by operator. Other operators stay as they are.
_IN_PLACE_TOO = ("relu", "relu6", "hardtanh", "hardswish", "silu")
_BY_NAME = ("hardsigmoid", "gelu", "leaky_relu", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d")
FUNCTIONS: dict[Any, Callable] = {
    **{getattr(aten, name).default: getattr(F, name) for name in (*_IN_PLACE_TOO, *_BY_NAME)},
    **{getattr(aten, f"{name}_").default: getattr(F, name) for name in _IN_PLACE_TOO},
    aten.sigmoid.default: torch.sigmoid,
    aten.tanh.default: torch.tanh,
    aten.max_pool2d_with_indices.default: F.max_pool2d,
    aten.add.Tensor: operator.add,
    aten.add_.Tensor: operator.add,
    aten.mul.Tensor: operator.mul,
    aten.mul_.Tensor: operator.mul,
    aten.cat.default: torch.cat,
    aten.flatten.using_ints: torch.flatten,
    aten.mean.dim: torch.mean,
    aten.view.default: torch.reshape,
    aten.reshape.default: torch.reshape,
    aten.permute.default: torch.permute,
    aten.transpose.int: torch.transpose,
    aten.chunk.default: torch.chunk,
}


def of(module: fx.GraphModule) -> fx.GraphModule:
    """Return a program's graph with modules for its layers, in evaluation mode; raises ValueError where it has several outputs."""
    with torch.no_grad():
        return _Layers(module).transformed()


def trains(node: fx.Node) -> bool:
    """Tell whether an operator computes as in training: a dropout that drops, a batch norm of the batch itself."""
    if node.target in _DROPOUTS:
        return bool(_arguments(node)["train"])
    return node.target is aten.batch_norm.default and bool(_arguments(node)["training"])


class _Layers:
    """Rewrites a graph of operators, node by node; its parameters move into modules."""

    def __init__(self, module: fx.GraphModule) -> None:
        self.module, self.graph = module, fx.Graph()
        self.held: dict[str, Any] = {}  # what the new graph names: modules, and tensors outside of them
        self.nodes: dict[fx.Node, fx.Node] = {}
        self.module_names: dict[tuple, str] = {}  # a layer that is used twice stays one

    def transformed(self) -> fx.GraphModule:
        for node in self.module.graph.nodes:
            if _counts_batches(node):
                continue
            first_of_several = node.target is operator.getitem and node.args[0].target in _FIRST_OF_SEVERAL
            if node.target in _DROPOUTS or first_of_several:
                self.nodes[node] = self.nodes[node.args[0]]
                continue
            layer = self._layer(node) if node.op == "call_function" else None
            if layer is not None:
                self.nodes[node] = self._called(*layer)
                continue
            if node.target in RECURRENT:
                self.nodes[node] = self._recurrent(node)
                continue
            if node.target in _IN_OTHERS:
                arguments = fx.node.map_arg(_arguments(node), lambda other: self.nodes[other])
                self.nodes[node] = _IN_OTHERS[node.target](self.graph, *arguments.values())
                continue
            copied = self.graph.node_copy(node, lambda other: self.nodes[other])
            if node.op == "get_attr":
                self.held[node.target] = self._value(node)
            elif node.op == "call_function":
                self._plain(copied)
            self.nodes[node] = copied
            if node.op == "call_function" and copied.target is not node.target and _is_in_place(node):
                self.nodes[node.args[0]] = copied  # whoever reads what was changed in place reads the result
        self.graph.eliminate_dead_code(lambda node: node.op != "call_module" and node.is_impure())
        _one_output(self.graph)
        return _Network(self.held, self.graph).eval()

    def _value(self, node: Any) -> Any:
        """Return what an argument holds: a parameter, or what is computed from parameters alone; None for other nodes."""
        if not isinstance(node, fx.Node):
            return None
        if node.op == "get_attr":
            return functools.reduce(getattr, node.target.split("."), self.module)
        if node.op != "call_function" or not node.all_input_nodes or _is_in_place(node):
            return None
        values = {other: self._value(other) for other in node.all_input_nodes}
        if any(value is None for value in values.values()):
            return None
        arguments, options = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
        return node.target(*arguments, **options)

    def _called(self, layer: nn.Module, image: fx.Node, key: tuple) -> fx.Node:
        if key not in self.module_names:
            self.module_names[key] = f"{type(layer).__name__.lower()}{len(self.module_names)}"
            self.held[self.module_names[key]] = layer
        return self.graph.call_module(self.module_names[key], (self.nodes[image],))

    def _layer(self, node: fx.Node) -> tuple[nn.Module, fx.Node, tuple] | None:
        """Return the module for an operator, its input, and a key that calls of one layer share; None if there is no module."""
        make = _MODULES.get(node.target)
        if make is None:
            return None
        arguments = _arguments(node)
        if node.target is aten.addmm.default:
            weight = _untransposed(arguments["mat2"])
            arguments = {"input": arguments["mat1"], "weight": weight, "bias": arguments["self"]}
        tensors = {name: self._value(arguments.get(name)) for name in ("weight", "bias", "running_mean", "running_var")}
        if tensors["weight"] is None or (arguments.get("bias") is not None and tensors["bias"] is None):
            return None
        if (layer := make(arguments, tensors)) is None:
            return None
        given = {name: value.clone() for name, value in tensors.items() if value is not None}
        layer.load_state_dict(given, strict=False)
        names = {k: v.target if isinstance(v, fx.Node) else v for k, v in arguments.items() if k != "input"}
        return layer.eval(), arguments["input"], (node.target, str(sorted(names.items())))

    def _recurrent(self, node: fx.Node) -> fx.Node:
        """Copy a recurrent layer, with first states for as many images as it is given: it writes beyond those for fewer."""
        steps = self.nodes[node.args[0]]
        images = self.graph.call_method("size", (steps, 0 if _arguments(node)["batch_first"] else 1))

        def fitted(state: fx.Node) -> fx.Node:
            layers, _, width = state.meta["val"].shape
            first = self.nodes[state]
            if first.target == "new_full":
                return self.graph.call_method("new_full", (steps, (layers, images, width), first.args[2]))
            return self.graph.call_function(torch.reshape, (first, (layers, images, width)))

        copied = self.graph.node_copy(node, lambda other: self.nodes[other])
        with self.graph.inserting_before(copied):
            copied.args = (copied.args[0], fx.node.map_arg(node.args[1], fitted), *copied.args[2:])
        return copied

    def _plain(self, node: fx.Node) -> None:
        """Call an operator by its function's name, as in evaluation mode."""
        if node.target is aten.batch_norm.default:  # without weights of its own
            node.args = (*node.args[:5], False, *node.args[6:])
        alpha = node.kwargs.get("alpha", 1) if node.target in (aten.add.Tensor, aten.add_.Tensor) else 1
        if alpha == 1 and node.target in FUNCTIONS:
            node.kwargs = {name: value for name, value in node.kwargs.items() if name != "alpha"}
            node.target = FUNCTIONS[node.target]
            if node.target is F.max_pool2d and len(node.args) == 2:  # ExecuTorch's lowering needs the stride, too
                node.args = (*node.args, node.args[1])


class _Network(fx.GraphModule):
    """A network from a file, with the shapes of its inputs."""

    input_shapes: tuple[tuple[int | None, ...], ...] = ()


def _arguments(node: fx.Node) -> dict[str, Any]:
    """Return a node's arguments by the names in the operator's schema, defaults included."""
    schema = node.target._schema.arguments
    values = {a.name: a.default_value for a in schema}
    values |= {a.name: value for a, value in zip(schema, node.args, strict=False)}
    return values | node.kwargs


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * axes if len(values) == 1 else values


def _convolution(arguments: dict, tensors: dict) -> nn.Module | None:
    """Return a convolution in one to three dimensions, a transposed one where the operator is."""
    weight, groups, padding = tensors["weight"], arguments["groups"], arguments["padding"]
    first, second, *kernel = weight.shape
    options = {name: _per_axis(arguments[name], len(kernel)) for name in ("stride", "dilation")}
    if isinstance(padding, str):  # of which quantized layers know nothing
        around = [
            step * (size - 1) * (padding == "same") for step, size in zip(options["dilation"], kernel, strict=True)
        ]
        padding = padding if any(n % 2 for n in around) else tuple(n // 2 for n in around)
    options["padding"] = padding if isinstance(padding, str) else _per_axis(padding, len(kernel))
    options |= {"groups": groups, "bias": tensors["bias"] is not None}
    if not arguments.get("transposed", "output_padding" in arguments):
        return getattr(nn, f"Conv{len(kernel)}d")(second * groups, first, tuple(kernel), **options)
    options["output_padding"] = _per_axis(arguments["output_padding"], len(kernel))
    return getattr(nn, f"ConvTranspose{len(kernel)}d")(first, second * groups, tuple(kernel), **options)


def _dense(arguments: dict, tensors: dict) -> nn.Module | None:
    weight = tensors["weight"]
    return nn.Linear(weight.shape[1], weight.shape[0], bias=tensors["bias"] is not None) if weight.ndim == 2 else None


_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}  # by the axes of what they take


def _norm(arguments: dict, tensors: dict) -> nn.Module | None:
    if tensors["running_mean"] is None or tensors["bias"] is None:
        return None
    image = arguments["input"].meta.get("val")
    kind = nn.BatchNorm2d if image is None else _NORMS[image.ndim]
    return kind(len(tensors["weight"]), eps=arguments["eps"], momentum=arguments["momentum"])


def _layer_norm(arguments: dict, tensors: dict) -> nn.Module | None:
    return nn.LayerNorm(tuple(arguments["normalized_shape"]), eps=arguments["eps"], bias=tensors["bias"] is not None)


_MODULES: dict[Any, Callable[[dict, dict], nn.Module | None]] = {
    **{getattr(getattr(aten, f"conv{n}d"), name): _convolution for n in (1, 2, 3) for name in ("default", "padding")},
    aten.conv_transpose1d.default: _convolution,
    aten.conv_transpose2d.input: _convolution,
    aten.conv_transpose3d.input: _convolution,
    aten.linear.default: _dense,
    aten.batch_norm.default: _norm,
    aten.layer_norm.default: _layer_norm,
    # the same after run_decompositions()
    aten.convolution.default: _convolution,
    aten.addmm.default: _dense,
    aten._native_batch_norm_legit_no_training.default: _norm,
    aten.native_layer_norm.default: _layer_norm,
}


def _adaptive_max_pool(graph: fx.Graph, image: fx.Node, size: Any) -> fx.Node:
    if set(_per_axis(size, 2)) != {1}:
        return graph.call_function(F.adaptive_max_pool2d, (image, size))
    return graph.call_function(torch.amax, (image, (-2, -1), True))


def _channel_shuffle(graph: fx.Graph, image: fx.Node, groups: int) -> fx.Node:
    in_groups = graph.call_function(torch.unflatten, (image, 1, (groups, -1)))
    return graph.call_function(torch.flatten, (graph.call_function(torch.transpose, (in_groups, 1, 2)), 1, 2))


def _full(graph: fx.Graph, size: Any, value: float, dtype: torch.dtype | None, *placement: Any) -> fx.Node:
    """Return a new tensor of floats that become half precision with the image; those of other types stay as they are."""
    is_float = dtype is torch.float32 or (dtype is None and isinstance(value, float))
    if not is_float or not isinstance(value, float | int):  # a value may be computed, as from a size
        return graph.call_function(torch.full, (size, value), {"dtype": dtype})
    return graph.call_method("new_full", (next(iter(graph.find_nodes(op="placeholder"))), size, float(value)))


# operators that some converter or quantizer does not know, in others that all know
_IN_OTHERS: dict[Any, Callable[..., fx.Node]] = {
    aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    aten.channel_shuffle.default: _channel_shuffle,
    aten.rrelu.default: lambda graph, image, lower, upper, *_: graph.call_function(
        F.leaky_relu, (image, (lower + upper) / 2)
    ),
    aten.mT.default: lambda graph, matrix: graph.call_function(torch.transpose, (matrix, -2, -1)),
    aten.full.default: _full,
    aten.zeros.default: lambda graph, size, *options: _full(graph, size, 0.0, *options),
    aten.ones.default: lambda graph, size, *options: _full(graph, size, 1.0, *options),
    aten.sym_size.int: lambda graph, tensor, axis: graph.call_method("size", (tensor, axis)),
}
RECURRENT = (aten.gru.input, aten.lstm.input, aten.rnn_relu.input, aten.rnn_tanh.input)
_DROPOUTS = (aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default, aten.feature_dropout_.default)
# operators of several outputs, whose modules return only the first
_FIRST_OF_SEVERAL = (
    aten._native_batch_norm_legit_no_training.default,
    aten.native_layer_norm.default,
    aten.max_pool2d_with_indices.default,
    aten.adaptive_max_pool2d.default,
)


def _untransposed(node: Any) -> Any:
    """Return the node of the weights [out,in] that a product takes as [in,out]; None if they are not transposed."""
    turned = isinstance(node, fx.Node) and node.target in (aten.permute.default, aten.t.default)
    return node.args[0] if turned else None


def _counts_batches(node: fx.Node) -> bool:
    """Tell whether a node counts the batches of a batch norm, as training mode does."""
    return node.op == "call_function" and node.target is aten.add_.Tensor and not node.users


def _is_in_place(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _one_output(graph: fx.Graph) -> None:
    """Return the output itself instead of a tuple of one; raises ValueError if there are several."""
    end = next(node for node in graph.nodes if node.op == "output")
    outputs = end.args[0] if isinstance(end.args[0], list | tuple) else (end.args[0],)
    if len(outputs) != 1:
        raise ValueError(f"it has {len(outputs)} outputs; export a network that returns one tensor of logits [N,K]")
    end.args = (outputs[0],)
