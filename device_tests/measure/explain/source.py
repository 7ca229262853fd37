"""The float network that artifacts are explained by: its layers with weights, and what they give for real images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from device_tests.measure.explain.receipt import Layer
from export.source import Source
from models import data
from models.zoo import ZOO


@lru_cache
def layers(model: str) -> tuple[Layer, ...]:
    """Return the layers with weights, in the order of their execution."""
    spec = ZOO[model].SPEC
    found = []

    def note(name: str, weight: tuple[int, ...], outputs: int, output: np.ndarray) -> None:
        parameters = math.prod(weight)
        # every position of the output takes each of the channel's weights once
        found.append(Layer(name=name, macs=output[0].size * parameters // outputs, parameters=parameters))

    _walk(model, np.zeros((1, *spec.input_shape), np.float32), note)
    return tuple(found)


def activations(model: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each layer gives before its activation function, channels last, for uint8 images [N,28,28]."""
    spec = ZOO[model].SPEC
    found: dict[str, np.ndarray] = {}
    channels_first = spec.framework == "torch"

    def note(name: str, weight: tuple[int, ...], outputs: int, output: np.ndarray) -> None:
        found[name] = channels_last(output) if channels_first else output

    _walk(model, data.grey(images, spec.input_shape), note)
    return found


def channels_last(output: np.ndarray) -> np.ndarray:
    """Return [N,C,H,W] as [N,H,W,C], anything else as it is."""
    return output.transpose(0, 2, 3, 1) if output.ndim == 4 else output


def _walk(model: str, images: np.ndarray, note: Callable[..., None]) -> None:
    network = Source(model).network
    {"torch": _walk_torch, "keras": _walk_keras}[ZOO[model].SPEC.framework](network, images, note)


def _walk_torch(network: Any, images: np.ndarray, note: Callable[..., None]) -> None:
    import torch

    def hook(name: str) -> Callable[..., None]:
        return lambda layer, _, output: note(name, tuple(layer.weight.shape), layer.weight.shape[0], output.numpy())

    hooks = []
    for kind, title in ((torch.nn.Conv2d, "conv"), (torch.nn.Linear, "dense")):  # nn.Sequential has only numbers
        layers = (layer for layer in network.modules() if isinstance(layer, kind))
        hooks += [layer.register_forward_hook(hook(f"{title}{i}")) for i, layer in enumerate(layers, start=1)]
    with torch.no_grad():
        network(torch.from_numpy(images))
    for handle in hooks:
        handle.remove()


def _walk_keras(network: Any, images: np.ndarray, note: Callable[..., None]) -> None:
    import keras

    answer = images
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            kernel = layer.kernel
            activation, layer.activation = layer.activation, keras.activations.linear
            try:
                note(layer.name, tuple(kernel.shape), kernel.shape[-1], layer(answer).numpy())
            finally:
                layer.activation = activation
        answer = layer(answer, training=False) if isinstance(layer, keras.layers.Dropout) else layer(answer)
