import numpy as np
import pytest

from models import augment, checkpoints
from models.common.errors import DataError, UsageError
from models.training import learning_rate
from models.zoo import ZOO


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


@pytest.mark.slow
@pytest.mark.parametrize("model", ZOO.names())
def test_a_truncated_checkpoint_and_one_of_another_network_say_so(model, tmp_path):
    file = tmp_path / "broken.safetensors"
    file.write_bytes(checkpoints.path(model).read_bytes()[:1000])
    other = checkpoints.path("torch_cnn" if model == "torch_cnn_small" else "torch_cnn_small")
    for wrong in (file, other):
        with pytest.raises(DataError, match=f"is no checkpoint of {model} "):
            checkpoints.network(model, wrong.read_bytes())
