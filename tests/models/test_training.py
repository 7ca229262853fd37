"""The zoo and its training: log and card, and networks with batch norm, whose statistics must fit the averaged weights."""

from dataclasses import replace

import numpy as np
import pytest

from models import augment, cards, checkpoints, data
from models.common import files
from models.common.errors import DataError, StorageError, UsageError
from models.frameworks import FRAMEWORKS
from models.images import network_input
from models.spec import Training
from models.training import Average, learning_rate, train
from models.zoo import ZOO
from tests.conftest import pass_for_mnist

AUGMENTATION = {"rotate_degrees": 5.0, "scale": 0.05, "shift_pixels": 1.0, "shear": 0.05}
SHORT = Training(
    epochs=10, batch=32, learning_rate=5e-3, weight_decay=1e-3, average_decay=0.98, validation=97, **AUGMENTATION
)


def torch_network():
    from torch import nn

    first = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()
    second = nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU()
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(576, 10))


def keras_network():
    from keras import Input, Sequential, layers

    first = layers.Conv2D(8, 3, strides=2), layers.BatchNormalization(momentum=0.9), layers.ReLU()
    second = layers.Conv2D(16, 3, strides=2), layers.BatchNormalization(momentum=0.9), layers.ReLU()
    return Sequential([Input((28, 28, 1)), *first, *second, layers.Flatten(), layers.Dense(10)])


def _recomputed_torch(network, grey):
    import torch

    for layer in network:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over all batches
    network.train()
    with torch.no_grad():
        for i in range(0, len(grey) // 100 * 100, 100):
            network(torch.from_numpy(grey[i : i + 100]))
    return network.eval()


def _recomputed_keras(network, grey):
    for i in range(0, 10 * len(grey), 100):
        network(grey[np.arange(i, i + 100) % len(grey)], training=True)
    return network


# return a network with its statistics measured on images, not averaged over training
RECOMPUTED = {"torch": _recomputed_torch, "keras": _recomputed_keras}
COMMITTED = checkpoints.FOLDER


@pytest.fixture(autouse=True)
def _own_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_network_with_batch_norm_learns_and_its_checkpoint_answers_as_its_card_says(framework, tmp_path, monkeypatch):
    """It learns scikit-learn's digits, which pass for MNIST: few enough for seconds."""
    digits = {"train": data.load("train", "digits"), "t10k": data.load("test", "digits")}
    pass_for_mnist(tmp_path / "mnist", {name: (d.images, d.labels) for name, d in digits.items()}, monkeypatch)
    model, network = {"torch": ("torch_cnn", torch_network), "keras": ("keras_cnn", keras_network)}[framework]
    monkeypatch.setattr(ZOO[model], "network", network)
    monkeypatch.setattr(ZOO[model], "TRAINING", SHORT)
    card = train(model, tmp_path / "logs")
    assert card.test_accuracy > 0.9
    network, module = checkpoints.network(model, checkpoints.read(model)), FRAMEWORKS[framework]
    test = data.load("test", "mnist")
    grey = network_input(test.images, ZOO[model].SPEC.layout)
    right = (module.logits(network, grey).argmax(1) == test.labels).mean()
    assert right == pytest.approx(card.test_accuracy)

    # the averaged statistics answer as well as those that the averaged weights really have on training images
    grey_train = network_input(data.load("train", "mnist").images, ZOO[model].SPEC.layout)
    measured = RECOMPUTED[framework](network, grey_train)
    assert (module.logits(measured, grey).argmax(1) == test.labels).mean() == pytest.approx(right, abs=0.015)


def test_the_average_is_of_floats_and_takes_the_newest_integers():
    average = Average({"weight": np.zeros(2, np.float32), "count": np.array(0), "half": np.zeros(1, np.float16)})
    for n in (1, 2):
        now = {"weight": np.full(2, n, np.float32), "count": np.array(n), "half": np.ones(1, np.float16)}
        average.add(now, decay=0.5)
        now["count"] += 40  # what is handed in stays the caller's
    assert average.values["weight"].tolist() == [1.25, 1.25]
    assert average.values["count"] == 2
    assert [average.values[name].dtype for name in ("weight", "count", "half")] == ["float32", "int64", "float16"]


def test_logs_that_cannot_be_written_are_an_error_before_training(idx_folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        train("torch_cnn_small", tmp_path / "file")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["torch_cnn_small", "keras_cnn"])
def test_training_writes_checkpoint_card_and_the_same_tags(model, tmp_path, monkeypatch, idx_folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(ZOO[model], "TRAINING", replace(ZOO[model].TRAINING, epochs=1, validation=100))
    logs = tmp_path / "logs" / model
    mine, earlier = logs / "notes.txt", logs / "events.out.tfevents.1.host"
    for file in (mine, earlier):
        files.write_bytes(file, b"")
    card = train(model, tmp_path / "logs")
    assert (mine.exists(), earlier.exists()) == (True, False)
    assert cards.is_current(model)
    assert card == cards.read(model)
    assert card.sha256 == files.sha256(checkpoints.path(model))
    events = EventAccumulator(str(logs))
    events.Reload()
    tags = {"loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "learning_rate"}
    assert set(events.Tags()["tensors"] + events.Tags()["scalars"]) == tags


def test_a_models_name_begins_with_its_framework_and_an_unknown_one_suggests_the_nearest():
    for model in ZOO.names():
        assert (ZOO[model].SPEC.name, ZOO[model].SPEC.framework) == (model, model.split("_")[0])
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
def test_a_truncated_checkpoint_and_one_of_another_network_say_so(model):
    other = "torch_cnn" if model == "torch_cnn_small" else "torch_cnn_small"
    truncated, anothers = (COMMITTED / f"{name}.safetensors" for name in (model, other))
    for wrong in (truncated.read_bytes()[:1000], anothers.read_bytes()):
        with pytest.raises(DataError, match=f"is no checkpoint of {model} "):
            checkpoints.network(model, wrong)
