"""Networks unlike the zoo's: depthwise convolutions, batch norm, hard-swish, a residual and global pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from export.source import Source
from models import data
from models.spec import ModelSpec

STEPS = 400  # of training on the small digits: enough to read most of them


def torch_network() -> Any:
    """Return an untrained network: [N,1,28,28] -> [N,10]."""
    from torch import nn

    from models.frameworks.torch import Normalize

    def normed(convolution: nn.Module, width: int, *activation: nn.Module) -> list[nn.Module]:
        return [convolution, nn.BatchNorm2d(width), *activation]

    class Residual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
            self.inner = nn.Sequential(
                *normed(depthwise, width, nn.Hardswish()), *normed(nn.Conv2d(width, width, 1, bias=False), width)
            )

        def forward(self, x):
            return x + self.inner(x)

    return nn.Sequential(
        Normalize(),
        *normed(nn.Conv2d(1, 32, 3, stride=2, padding=1, bias=False), 32, nn.Hardswish()),
        Residual(32),
        *normed(nn.Conv2d(32, 64, 1, bias=False), 64, nn.Hardswish()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def keras_network() -> Any:
    """Return an untrained network: [N,28,28,1] -> [N,10]."""
    import keras
    from keras import layers

    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / data.STD, offset=-data.MEAN / data.STD)(image)
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.Activation("hard_swish")(layers.BatchNormalization(momentum=0.9)(x))
    inner = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    inner = layers.Activation("hard_swish")(layers.BatchNormalization(momentum=0.9)(inner))
    inner = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(32, 1, use_bias=False)(inner))
    x = layers.Add()([x, inner])
    x = layers.SeparableConv2D(64, 3, padding="same", use_bias=False)(x)
    x = layers.Activation("hard_swish")(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(image, layers.Dense(10, name="logits")(layers.GlobalAveragePooling2D()(x)))


class Branching(Source):
    """A Source of one of these networks, trained for a moment on scikit-learn's digits."""

    def __init__(self, framework: str) -> None:
        super().__init__({"torch": "torch_cnn_small", "keras": "keras_cnn"}[framework], "digits")
        shape = self.spec.input_shape
        self.model = f"{framework}_branching"
        self.spec = ModelSpec(name=self.model, framework=framework, title="", parameters=0, macs=0, input_shape=shape, source="")  # fmt: skip
        self._trained: dict[str, np.ndarray] = {}

    def _untrained(self) -> Any:
        return {"torch": torch_network, "keras": keras_network}[self.spec.framework]()

    def fresh_network(self) -> Any:
        from models.frameworks import FRAMEWORKS

        framework = FRAMEWORKS[self.spec.framework]
        if not self._trained:
            self._trained = self._train(framework)
        return framework.set_weights(self._untrained(), self._trained)

    def _train(self, framework: Any) -> dict[str, np.ndarray]:
        from models.zoo import ZOO

        framework.seed(0)
        network = self._untrained()
        trainer = framework.Trainer(network, ZOO["torch_cnn_small"].TRAINING)
        for images, labels in self.training_batches(STEPS):
            trainer.step(images, labels, 0.02)
        return framework.weights(network)
