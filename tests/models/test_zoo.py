from __future__ import annotations

import sys

import numpy as np
import pytest

from models import augment, checkpoints
from models.errors import DataError, UsageError
from models.training import learning_rate
from models.zoo import ZOO


def test_the_zoo_lists_its_models():
    assert {"torch_cnn", "torch_cnn_small", "keras_cnn"} <= set(ZOO.names())


@pytest.mark.parametrize("model", ZOO.names())
def test_a_models_name_begins_with_its_framework(model):
    spec = ZOO[model].SPEC
    assert spec.name == model
    assert model.split("_")[0] == spec.framework


def test_another_recipe_asks_for_training():
    module = ZOO["torch_cnn"]
    one = module.TRAINING.fingerprint(module.SPEC, "data")
    assert module.TRAINING.fingerprint(module.SPEC, "other data") != one


def test_an_unknown_model_suggests_the_nearest():
    with pytest.raises(UsageError, match="Did you mean keras_cnn"):
        ZOO["keras_cn"]


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    training = ZOO["torch_cnn"].TRAINING
    rates = [learning_rate(training, done) for done in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(training.learning_rate)
    assert rates.index(max(rates)) == 15
    assert rates[-1] == pytest.approx(0)


def test_distortion_keeps_the_ink_and_is_seeded():
    images = np.zeros((3, 28, 28), np.uint8)
    images[:, 10:18, 12:16] = 255
    training = ZOO["torch_cnn"].TRAINING
    one, two = (augment.distort(images, training, np.random.default_rng(5)) for _ in range(2))
    assert one.dtype == np.float32
    assert (one == two).all()
    assert not (one[0] == one[1]).all()
    assert one.sum((1, 2)) == pytest.approx(32, rel=0.4)


def test_importing_the_zoo_imports_no_framework():
    for model in ZOO.names():
        ZOO[model]
    assert not {"torch", "tensorflow", "keras", "jax"} & set(sys.modules)


@pytest.mark.slow
@pytest.mark.parametrize("model", ZOO.names())
def test_the_network_has_the_parameters_that_its_spec_says(model):
    from models.frameworks import FRAMEWORKS

    spec = ZOO[model].SPEC
    network = ZOO[model].network()
    weights = FRAMEWORKS[spec.framework].weights(network)
    assert sum(w.size for w in weights.values()) == spec.parameters


@pytest.mark.slow
@pytest.mark.parametrize("model", ZOO.names())
def test_a_truncated_checkpoint_says_so(model, tmp_path):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(checkpoints.path(model).read_bytes()[:1000])
    with pytest.raises(DataError, match="is no checkpoint of"):
        checkpoints.load(model, file)


@pytest.mark.slow
def test_a_checkpoint_of_another_network_says_so():
    with pytest.raises(DataError, match="is no checkpoint of torch_cnn "):
        checkpoints.load("torch_cnn", checkpoints.path("torch_cnn_small"))
