"""Every recipe of networks with depthwise convolutions, batch norm, hard-swish, a residual and global pooling."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from export import judge, making
from export.formats import FORMATS
from export.isolated import ncnn_tools
from export.matrix import MATRIX
from export.schemes import SCHEMES
from export.source import DEFAULT_LAYOUT, Source
from models import data
from models import profile as profiles
from models.common import files
from models.common.errors import Unsupported

pytestmark = pytest.mark.slow

STEPS = 400  # of training on the small digits: enough to read most of them


def torch_network() -> Any:
    """Return an untrained network: [N,1,28,28] -> [N,10]."""
    from torch import nn

    from models.frameworks.torch import Normalize

    def normed(*convolution: Any, **options: Any) -> list[nn.Module]:
        return [nn.Conv2d(*convolution, bias=False, **options), nn.BatchNorm2d(convolution[1])]

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            depthwise = normed(32, 32, 3, padding=1, groups=32)
            self.inner = nn.Sequential(*depthwise, nn.Hardswish(), *normed(32, 32, 1))

        def forward(self, x):
            return x + self.inner(x)

    stem = normed(1, 32, 3, stride=2, padding=1)
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    return nn.Sequential(Normalize(), *stem, nn.Hardswish(), Residual(), *normed(32, 64, 1), nn.Hardswish(), *last)


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
        self.model = f"{framework}_branching"
        # known beforehand: they are asked for while the network is trained, and would train another to be told
        self.layout, self.any_batch = DEFAULT_LAYOUT[framework], True
        self._trained: dict[str, np.ndarray] = {}

    def profile(self) -> profiles.Profile:
        return profiles.of(self.model, self.framework, self.network, self.input_shape, {})

    def _untrained(self) -> Any:
        return {"torch": torch_network, "keras": keras_network}[self.framework]()

    def fresh_network(self) -> Any:
        from models.frameworks import FRAMEWORKS

        framework = FRAMEWORKS[self.framework]
        if not self._trained:
            self._trained = self._train(framework)
        return framework.set_weights(self._untrained(), self._trained)

    def _train(self, framework: Any) -> dict[str, np.ndarray]:
        from models.zoo import ZOO

        framework.seed(0)
        network = self._untrained()
        trainer = framework.Trainer(network, ZOO["torch_cnn_small"].TRAINING)
        for step, (images, labels) in enumerate(self.training_batches(STEPS)):
            trainer.step(images, labels, 0.02 * (1 - step / STEPS))
        return framework.weights(network)


RECIPES = [
    (framework, name, scheme)
    for framework, formats in MATRIX.items()
    for name, schemes in formats.items()
    for scheme in schemes
    if name != "eager"  # which is the zoo's checkpoint
]
REFUSED = {
    ("keras", "tflite", "int16x8"): "not yet supported for op: 'HARD_SWISH'",
}
if not ncnn_tools.identity():  # ncnn's own programs are in no wheel
    REFUSED |= {(framework, "ncnn", "int8"): "ncnn2table" for framework in ("keras", "torch")}
PARAMETERS = {"torch": 4_618, "keras": 4_906}
branching = cache(Branching)


@pytest.fixture
def source(framework) -> Branching:
    return branching(framework)


@pytest.mark.parametrize(("framework", "name", "scheme"), RECIPES, ids=["-".join(recipe) for recipe in RECIPES])
def test_every_recipe_is_made_or_refused_in_the_toolchains_words(framework, name, scheme, source, tmp_path):
    profile = source.memo("profile", source.profile)
    path = tmp_path / f"branching{FORMATS[name].suffix}"
    if reason := REFUSED.get((framework, name, scheme)):
        with pytest.raises(Unsupported, match=reason):
            FORMATS[name].convert(source, scheme, path)
        return
    FORMATS[name].convert(source, scheme, path)
    contents = making.completed(FORMATS[name].inspect(path), source)
    judge.judge_weights(contents, SCHEMES[scheme], profile.weights)
    judge.judge_size(files.size_bytes(path), contents, SCHEMES[scheme], profile.parameters)
    grey = source.input(data.load("test", "digits").images[:64])
    native = FORMATS[name].run(path, judge.to_native(grey, contents.inputs[0]))
    judge.judge_logits(judge.to_logits(native, contents.outputs[0]), source.logits(grey), SCHEMES[scheme])
    noted = judge.coverage(contents, SCHEMES[scheme], profile.layers)
    covered = contents.weights[SCHEMES[scheme].weights] / sum(contents.weights.values())
    assert bool(noted) == (covered < 1)
    assert all(f"{covered:.1%} of the weights and " in note and "% of the MACs" in note for note in noted)


@pytest.mark.parametrize("framework", PARAMETERS)
def test_the_network_costs_what_its_layers_multiply(framework, source):
    stem, depthwise, pointwise, last = 14 * 14 * 9 * 32, 14 * 14 * 9 * 32, 14 * 14 * 32 * 32, 14 * 14 * 32 * 64
    separable = depthwise if framework == "keras" else 0
    profile = source.profile()
    assert profile.macs == stem + depthwise + pointwise + separable + last + 640
    assert profile.parameters == PARAMETERS[framework]


@pytest.mark.parametrize("framework", ["keras"])
def test_fine_tuning_leaves_the_layers_calls_as_they_were(framework, source):
    from export.formats import _tflite_keras

    network = source.fresh_network()
    with _tflite_keras._calls(network.layers, lambda layer, call: lambda *a, **k: 1 / 0):
        pass
    grey = source.input(data.load("test", "digits").images[:4])
    assert np.array_equal(network(grey).numpy(), source.network(grey).numpy())
