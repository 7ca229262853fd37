"""The source text of two small networks with batch norms and a residual, one of each framework."""

SPEC = """
from models.spec import ModelSpec

SPEC = ModelSpec(name="{name}", framework="{framework}", title="a network of the tests", parameters={parameters},
                 macs={macs}, input_shape={shape}, source="tests")
"""

TORCH = """
def network():
    import torch
    from torch import nn

    from models.frameworks.torch import Normalize

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep = nn.Sequential(
                nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
                nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16),
            )
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Hardsigmoid()
            )

        def forward(self, x):
            y = self.deep(x)
            return x + y * self.gate(y)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v, self.out = (nn.Linear(16, 16) for _ in range(4))

        def forward(self, x):
            t = x.reshape(x.shape[0], 16, 49).transpose(1, 2)
            weights = torch.softmax(self.q(t) @ self.k(t).transpose(1, 2) / 4.0, -1)
            return t + self.out(weights @ self.v(t))

    class Mobile(nn.Module):
        def __init__(self):
            super().__init__()
            self.normalize = Normalize()
            self.stem = nn.Sequential(
                nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
            )
            self.block = Block()
            self.pool = nn.MaxPool2d(2, 2)
            self.attention = Attention()
            self.head = nn.Linear(16, 10)

        def forward(self, image):
            x = self.pool(self.block(self.stem(self.normalize(image))))
            return self.head(self.attention(x).mean(1))

    return Mobile()
"""
POINTWISE, SHAPE = "conv3", (16, 16, 1, 1)  # in the residual's branch, after the depthwise one

KERAS = """
def network():
    from keras import Input, Model, layers

    from models.data import MEAN, STD

    image = Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / STD, offset=-MEAN / STD)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm1")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm2")(y))
    y = layers.BatchNormalization(name="norm3")(layers.Conv2D(16, 1, use_bias=False, name="pointwise")(y))
    x = layers.ReLU()(layers.Add()([layers.Conv2D(16, 1, name="shortcut")(x), y]))
    x = layers.Dense(32, activation="relu", name="dense")(layers.GlobalAveragePooling2D()(x))
    return Model(image, layers.Dense(10, name="logits")(x))
"""
LAYERS = {
    "torch_mobile": [f"{kind}{i}" for kind in ("conv", "dense") for i in range(1, 6)],
    "keras_residual": ["stem", "depthwise", "pointwise", "shortcut", "dense", "logits"],
}
NETWORKS = {
    "torch_mobile": (SPEC.format(name="torch_mobile", framework="torch", parameters=2_410, macs=180_000, shape=(1, 28, 28)) + TORCH),
    "keras_residual": (SPEC.format(name="keras_residual", framework="keras", parameters=1_300, macs=90_000, shape=(28, 28, 1)) + KERAS),
}  # fmt: skip
