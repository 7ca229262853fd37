"""Keras' networks in one file or of code, and what is no file of one."""

import io
import zipfile

import numpy as np
import pytest

from models.frameworks import FRAMEWORKS

pytestmark = pytest.mark.slow


def opened(content: bytes):
    return FRAMEWORKS["keras"].open_whole(content)


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory) -> dict[str, bytes]:
    """Files of networks that can be deployed, that have two inputs, and that have code in them."""
    import keras
    from keras import layers

    a, b = keras.Input((4, 4, 1)), keras.Input((4, 4, 1))
    networks = {
        "whole": keras.Model(a, layers.Dense(2)(layers.Flatten()(a))),
        "sequential": keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)]),
        "two": keras.Model([a, b], layers.Flatten()(layers.Add()([a, b]))),
        "code": keras.Model(a, layers.Flatten()(layers.Lambda(lambda x: x + 1)(a))),
        "dict": keras.Model(a, {"logits": layers.Flatten()(a)}),
        "bytes": keras.Model((c := keras.Input((4, 4, 1), dtype="uint8")), layers.Flatten()(layers.Rescaling(0.1)(c))),
        "class": keras.Model(a, layers.Flatten()(type("Own", (layers.ReLU,), {})()(a))),
    }
    networks["quantized"] = keras.models.clone_model(networks["whole"])
    networks["quantized"].quantize("int8")
    folder = tmp_path_factory.mktemp("keras")
    for name, network in networks.items():
        for suffix in (".keras", ".h5", ".weights.h5") if name in ("whole", "two", "code") else (".keras",):
            (network.save_weights if suffix == ".weights.h5" else network.save)(folder / f"{name}{suffix}")
    return {path.name.removesuffix(".keras"): path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_sentence(keras_files, share):
    content = keras_files["whole"]
    with pytest.raises(ValueError, match="it is no .keras or .h5 file, or is cut off"):
        opened(content[: int(len(content) * share)])


def test_keras_networks_of_code_are_told_their_images_size_and_name_their_layers_per_network(tmp_path):
    import keras
    import safetensors.numpy

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = keras.layers.Dense(3), keras.layers.Dense(2)

        def call(self, x):
            return self.last(self.first(keras.ops.reshape(x, (-1, 16))))

    framework = FRAMEWORKS["keras"]
    image = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    trained = Own()
    want = trained(image).numpy()
    trained.save_weights(tmp_path / "own.weights.h5")
    content = (tmp_path / "own.weights.h5").read_bytes()
    loaded = framework.open_weights(Own(), content, ".weights.h5", shape=(4, 4, 1))
    assert framework.input_shape(loaded) == (4, 4, 1)
    np.testing.assert_allclose(framework.logits(loaded, image), want, atol=1e-6)
    content = safetensors.numpy.save(framework.weights(loaded))
    again = framework.open_weights(Own(), content, ".safetensors", shape=(4, 4, 1))
    np.testing.assert_allclose(framework.logits(again, image), want, atol=1e-6)


@pytest.mark.parametrize("suffix", ["", ".h5"])
def test_keras_files_with_several_inputs_or_code_are_refused_and_both_kinds_hold_the_same_network(keras_files, suffix):
    with pytest.raises(ValueError, match="it has 2 inputs and 1 outputs"):
        opened(keras_files[f"two{suffix}"])
    with pytest.raises(ValueError, match="a Lambda layer.*never run"):
        opened(keras_files[f"code{suffix}"])
    weights = [FRAMEWORKS["keras"].weights(opened(keras_files[name])) for name in ("whole", f"whole{suffix}")]
    assert all((weights[0][name] == value).all() for name, value in weights[1].items())


def test_weights_alone_part_of_a_file_other_archives_and_what_is_no_classifier_are_refused(keras_files):
    assert opened(keras_files["sequential"]).outputs
    with pytest.raises(ValueError, match=r"weights alone.*put NAME\.weights\.h5 beside NAME\.py"):
        opened(keras_files["whole.weights.h5"])
    with pytest.raises(ValueError, match="cannot load it: "):
        opened(keras_files["whole.h5"][:-100])
    refused = {
        "dict": "returns a dict",
        "bytes": "takes uint8",
        "class": "class of yours, Own",
        "quantized": "quantized already",
    }
    for name, reason in refused.items():
        with pytest.raises(ValueError, match=reason):
            opened(keras_files[name])
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="cannot load it: "):
        opened(other.getvalue())
