"""Parameters and multiply-accumulates, counted in networks of every kind of layer."""

import pytest

from models import profile as profiles
from models.common.errors import DataError
from models.frameworks import FRAMEWORKS
from models.zoo import ZOO

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("model", ZOO.names())
def test_the_zoos_typed_figures_are_the_networks_and_a_wrong_one_is_an_error_that_names_both(model):
    spec, network = ZOO[model].SPEC, ZOO[model].network()
    profile = profiles.of(model, spec.framework, network, spec.input_shape, {})
    assert (profile.parameters, profile.macs) == (spec.parameters, spec.macs)
    for figure in ("parameters", "macs"):
        with pytest.raises(DataError, match=rf"gives 1,234 {figure}, its network has {getattr(spec, figure):,}"):
            profiles.of(model, spec.framework, network, spec.input_shape, {figure: 1_234})


def torch_cases() -> dict:
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            x = x.flatten(2).transpose(1, 2)
            return self.attention(x, x, x)[0]

    n = 6 * 6  # pixels of an image of 6 x 6
    shared = nn.Linear(6, 6, bias=False)
    return {
        "grouped": (nn.Conv2d(8, 12, 3, padding=1, groups=4), n * 12 * 2 * 9, 12 * 2 * 9),
        "depthwise": (nn.Conv2d(8, 8, 3, padding=1, groups=8), n * 8 * 9, 8 * 9),
        "dilated": (nn.Conv2d(8, 4, 3, padding=2, dilation=2), n * 4 * 8 * 9, 4 * 8 * 9),
        "transposed": (nn.ConvTranspose2d(8, 4, 2, stride=2), n * 4 * 8 * 4, 8 * 4 * 4),
        "dense": (nn.Sequential(nn.Flatten(), nn.Linear(8 * n, 5)), 8 * n * 5, 8 * n * 5),
        # three projections in, one out, and two products of the pixels with each other
        "attention": (Attention(), n * 8 * 8 * 4 + 2 * n * n * 8, 8 * 8 * 4),
        "shared": (nn.Sequential(shared, shared), 2 * 8 * n * 6, 36),
    }


def keras_cases() -> dict:
    import keras
    from keras import layers

    image = keras.Input((6, 6, 8))
    flat = layers.Reshape((36, 8))(image)
    shared = layers.Dense(8, use_bias=False)
    n = 36
    cases = {
        "grouped": (layers.Conv2D(12, 3, padding="same", groups=4)(image), n * 12 * 2 * 9, 12 * 2 * 9),
        "depthwise": (layers.DepthwiseConv2D(3, padding="same")(image), n * 8 * 9, 8 * 9),
        "dilated": (layers.Conv2D(4, 3, padding="same", dilation_rate=2)(image), n * 4 * 8 * 9, 4 * 8 * 9),
        "transposed": (layers.Conv2DTranspose(4, 2, strides=2)(image), n * 4 * 8 * 4, 8 * 4 * 4),
        "dense": (layers.Dense(5)(layers.Flatten()(image)), 8 * n * 5, 8 * n * 5),
        "attention": (layers.MultiHeadAttention(2, 4)(flat, flat), n * 8 * 8 * 4 + 2 * n * n * 8, 8 * 8 * 4),
        "shared": (shared(shared(flat)), 2 * 8 * n * 8, 64),
    }
    return {kind: (keras.Model(image, output), macs, weights) for kind, (output, macs, weights) in cases.items()}


CASES = {"torch": (torch_cases, (8, 6, 6)), "keras": (keras_cases, (6, 6, 8))}


@pytest.mark.parametrize("kind", ["grouped", "depthwise", "dilated", "transposed", "dense", "attention", "shared"])
@pytest.mark.parametrize("framework", CASES)
def test_products_are_counted(framework, kind):
    cases, shape = CASES[framework]
    network, macs, weights = cases()[kind]
    profile = FRAMEWORKS[framework].profile(network, shape)
    assert (profile.macs, profile.weights) == (macs, weights)
    counted = network.count_params() if framework == "keras" else sum(p.numel() for p in network.parameters())
    assert profile.parameters == counted


def test_a_batch_norms_running_statistics_are_no_parameters():
    import keras

    network = keras.Sequential([keras.Input((6, 6, 8)), keras.layers.BatchNormalization()])
    assert FRAMEWORKS["keras"].profile(network, (6, 6, 8)).parameters == 2 * 8


def test_keras_layers_without_names_keep_their_weights_names_in_every_network_of_a_process():
    import keras

    def network():
        layers = [keras.layers.Conv2D(2, 3), keras.layers.Conv2D(3, 3), keras.layers.Dense(2, name="last")]
        return keras.Sequential([keras.Input((6, 6, 1)), *layers])

    framework = FRAMEWORKS["keras"]
    first, second = network(), network()
    values = framework.weights(first)
    assert set(values) == {f"{layer}/{role}" for layer in ("conv2d", "conv2d_1", "last") for role in ("kernel", "bias")}
    framework.set_weights(second, values)
    assert all((value == framework.weights(second)[name]).all() for name, value in values.items())
