"""Every recipe of a Keras network with depthwise convolutions, batch norm, hard-swish, a residual and global pooling."""

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
from models.zoo import ZOO

pytestmark = pytest.mark.slow

STEPS = 400  # of training on the small digits: enough to read most of them


def network() -> Any:
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
    """A Source of this network, trained for a moment on scikit-learn's digits."""

    def __init__(self) -> None:
        super().__init__("keras_cnn", "digits")
        self.model = "keras_branching"
        # known beforehand: they are asked for while the network is trained, and would train another to be told
        self.layout, self.any_batch = DEFAULT_LAYOUT["keras"], True
        self._trained: dict[str, np.ndarray] = {}

    def profile(self) -> profiles.Profile:
        return profiles.of(self.model, self.framework, self.network, self.input_shape, {})

    def fresh_network(self) -> Any:
        from models.frameworks import FRAMEWORKS

        keras = FRAMEWORKS["keras"]
        if not self._trained:
            keras.seed(0)
            trained = network()
            trainer = keras.Trainer(trained, ZOO["keras_cnn"].TRAINING)
            for step, (images, labels) in enumerate(self.training_batches(STEPS)):
                trainer.step(images, labels, 0.02 * (1 - step / STEPS))
            self._trained = keras.weights(trained)
        return keras.set_weights(network(), self._trained)


REFUSED = {("tflite", "int16x8"): "not yet supported for op: 'HARD_SWISH'"}
if not ncnn_tools.identity():  # ncnn's own programs are in no wheel
    REFUSED["ncnn", "int8"] = "ncnn2table"
# but the bare network, which is the zoo's checkpoint
RECIPES = [(name, scheme) for name, schemes in MATRIX["keras"].items() for scheme in schemes if name != "eager"]


@pytest.fixture(scope="module")
def source() -> Branching:
    return Branching()


@pytest.mark.parametrize(("name", "scheme"), RECIPES, ids=map("-".join, RECIPES))
def test_every_recipe_is_made_or_refused_in_the_toolchains_words(name, scheme, source, tmp_path):
    profile = source.memo("profile", source.profile)
    path = tmp_path / f"branching{FORMATS[name].suffix}"
    if reason := REFUSED.get((name, scheme)):
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


def test_the_network_costs_what_its_layers_multiply(source):
    stem, depthwise, pointwise, last = 14 * 14 * 9 * 32, 14 * 14 * 9 * 32, 14 * 14 * 32 * 32, 14 * 14 * 32 * 64
    assert source.profile().macs == stem + 2 * depthwise + pointwise + last + 640
    assert source.profile().parameters == 4_906
