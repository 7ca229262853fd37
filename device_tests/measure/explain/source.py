"""The layers with weights of the float network that artifacts are compared with."""

import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from device_tests.measure.explain.compare import channel_shapes
from device_tests.measure.explain.placement import Layer
from export.source import Source


@lru_cache
def layers(model: str) -> tuple[Layer, ...]:
    """Return the layers with weights, in the order of their execution."""
    source = Source(model)
    noted = []

    def note(name: str, weight: np.ndarray, axis: int, positions: int) -> None:
        """Add a layer: its weight, the axis of its output channels, and at how many positions they are computed."""
        shapes = channel_shapes(weight, axis)
        noted.append(Layer(name=name, macs=positions * weight.size, parameters=weight.size, shapes=shapes))

    walk = {"torch": _walk_torch, "keras": _walk_keras}[source.framework]
    walk(source.network, np.zeros((1, *source.input_shape), np.float32), note)
    return tuple(noted)


def _walk_torch(network: Any, images: np.ndarray, note: Callable[..., None]) -> None:
    """Run the network and note each convolution and product with weights, whichever module computes it."""
    import torch
    from torch.overrides import TorchFunctionMode

    # by name: a program of torch.export calls the operators beneath the functions, such as aten.conv2d.default
    titles = {"conv1d": "conv", "conv2d": "conv", "linear": "dense", "conv_transpose2d": "deconv"}
    counts: Counter[str] = Counter()

    class Noting(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            output = function(*arguments, **(options or {}))
            if title := titles.get(getattr(function, "__name__", "").partition(".")[0]):
                weight = arguments[1] if len(arguments) > 1 else options["weight"]
                counts[title] += 1
                # each weight is used once per position of the output, or of the input where that is a deconvolution
                axis, positions = (1, arguments[0]) if title == "deconv" else (0, output)
                note(f"{title}{counts[title]}", weight.detach().numpy(), axis, positions.numel() // weight.shape[0])
            return output

    with Noting():  # with gradients: without them attention runs in one fused kernel, which hides the products
        network(torch.from_numpy(images))


def _walk_keras(network: Any, images: np.ndarray, note: Callable[..., None]) -> None:
    """Note the layers in the order in which Keras lists them: the graph may branch, so nothing is run."""
    import keras

    weighted = keras.layers.Conv1D | keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense
    weighted |= keras.layers.Conv2DTranspose
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.SeparableConv2D):  # a depthwise convolution and one of 1x1
            depth, point = layer.depthwise_kernel.numpy(), layer.pointwise_kernel.numpy()
            depth = depth.reshape(*depth.shape[:2], 1, -1)
            positions = math.prod(layer.output.shape[1:-1])
            note(f"{layer.name} depthwise", depth, -1, positions)
            note(f"{layer.name} pointwise", point, -1, positions)
            continue
        if isinstance(layer, weighted):
            kernel, outputs = layer.kernel.numpy(), math.prod(layer.output.shape[1:])
            if isinstance(layer, keras.layers.Conv2DTranspose):  # [height, width, outputs, inputs], over the input
                note(layer.name, kernel, 2, math.prod(layer.input.shape[1:]) // kernel.shape[-1])
                continue
            if isinstance(layer, keras.layers.DepthwiseConv2D):  # [height, width, channels, several of each]
                kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
            note(layer.name, kernel, -1, outputs // kernel.shape[-1])
