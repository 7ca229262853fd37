from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from models import augment, checkpoints, files
from models.errors import DataError, UsageError
from models.training import learning_rate
from models.zoo import ZOO

TARGETS = {"torch_cnn": 0.994, "torch_cnn_small": 0.992, "keras_cnn": 0.994}


def test_the_zoo_lists_its_models():
    assert set(TARGETS) <= set(ZOO.names())


@pytest.mark.parametrize("model", ZOO.names())
def test_a_models_name_begins_with_its_framework(model):
    spec = ZOO[model].SPEC
    assert spec.name == model
    assert model.split("_")[0] == spec.framework


@pytest.mark.parametrize("model", ZOO.names())
def test_the_committed_checkpoint_matches_its_card_and_recipe(model):
    assert checkpoints.is_current(model)


@pytest.mark.parametrize(("model", "target"), TARGETS.items())
def test_the_card_reports_the_accuracy_to_reach_with_its_interval(model, target):
    card = checkpoints.card(model)
    low, high = card["test_accuracy_95"]
    assert card["test_accuracy"] >= target
    assert low < card["test_accuracy"] < high


def test_a_changed_checkpoint_is_not_current(tmp_path, monkeypatch):
    model = "torch_cnn_small"
    card, content = checkpoints.card_path(model).read_bytes(), checkpoints.path(model).read_bytes()
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    checkpoints.card_path(model).write_bytes(card)
    assert not checkpoints.is_current(model)
    checkpoints.path(model).write_bytes(content[:-1] + b"\x00")
    assert not checkpoints.is_current(model)


def test_another_recipe_asks_for_training():
    module = ZOO["torch_cnn"]
    one = module.TRAINING.fingerprint(module.SPEC, "data")
    assert module.TRAINING.fingerprint(module.SPEC, "other data") != one


def test_a_broken_card_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    checkpoints.card_path("torch_cnn").write_text("{")
    with pytest.raises(DataError, match="is not JSON.*nox -s train"):
        checkpoints.card("torch_cnn")


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


@pytest.mark.slow
@pytest.mark.parametrize("model", ["torch_cnn_small", "keras_cnn"])
def test_training_writes_checkpoint_card_and_the_same_tags(model, tmp_path, monkeypatch, idx_folder):
    from dataclasses import replace

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from models.training import train

    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(ZOO[model], "TRAINING", replace(ZOO[model].TRAINING, epochs=1, validation=100))
    card = train(model, tmp_path / "logs")
    assert checkpoints.is_current(model)
    assert card == json.loads(checkpoints.card_path(model).read_text())
    assert card["sha256"] == files.sha256(checkpoints.path(model))
    events = EventAccumulator(str(tmp_path / "logs" / model))
    events.Reload()
    tags = {"loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "learning_rate"}
    assert set(events.Tags()["tensors"] + events.Tags()["scalars"]) == tags
