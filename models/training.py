"""The training loop that both frameworks share: augmentation, schedule, weight averaging, TensorBoard, card."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from scipy.stats import binomtest

from models import augment, cards, checkpoints, data
from models.cards import Card, TrainedOn
from models.common import files
from models.frameworks import FRAMEWORKS
from models.images import LabelledImages, network_input
from models.spec import Training
from models.zoo import ZOO


def train(model: str, log_folder: Path) -> Card:
    """Train one model of the zoo, write its checkpoint, card and TensorBoard log; return the card."""
    module = ZOO[model]
    spec, training = module.SPEC, module.TRAINING
    train_set, test_set = data.load("train", "mnist"), data.load("test", "mnist")
    for folder in (log_folder / model, checkpoints.FOLDER):  # before minutes of work
        files.require_writable(folder)

    framework = FRAMEWORKS[spec.framework]
    framework.seed(training.seed)
    network = module.network()
    cpu_start = time.process_time()
    validation_accuracy = _fit(network, module, train_set, log_folder / model)
    cpu_minutes = (time.process_time() - cpu_start) / 60

    test_accuracy, _ = _score(framework.logits(network, network_input(test_set.images, spec.layout)), test_set.labels)
    bounds = binomtest(round(test_accuracy * len(test_set)), len(test_set)).proportion_ci(method="wilson")
    # a new checkpoint beside the old card would count as damaged; without a card it counts as a user's own
    files.remove(cards.path(model))
    card = Card(
        model=model,
        title=spec.title,
        source=spec.source,
        parameters=spec.parameters,
        seed=training.seed,
        epochs=training.epochs,
        cpu_minutes=round(cpu_minutes, 1),
        validation_accuracy=validation_accuracy,
        test_accuracy=test_accuracy,
        test_accuracy_95=(round(float(bounds.low), 5), round(float(bounds.high), 5)),
        data=TrainedOn(name="mnist", sha256=data.MNIST_SHA256),
        sha256=checkpoints.save(model, network),
        fingerprint=cards.fingerprint(model),
    )
    cards.save(card)
    return card


class Average:
    """A running average of a network's weights, which is more accurate than the weights of any one step.

    Batch norm's running means and variances are averaged alike. That fits them to the averaged weights: both are
    averages over the same last steps, in which the small learning rate of the schedule's end moves the weights so
    little that a layer's outputs, and with them their statistics, are nearly linear in the weights. Integers, such as
    batch norm's count of batches, have no average: the newest are taken.
    """

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        self.values = {name: np.array(value) for name, value in values.items()}

    def add(self, values: Mapping[str, np.ndarray], decay: float) -> None:
        """Move the average towards `values`, of which it keeps a share of 1 - `decay`."""
        for name, value in values.items():
            if np.issubdtype(value.dtype, np.floating):
                self.values[name] += (value - self.values[name]) * (1 - decay)
            else:
                self.values[name] = np.array(value)


def _fit(network: Any, module: ModuleType, train_set: LabelledImages, log_folder: Path) -> float:
    """Train the network in place and leave the averaged weights in it; return the accuracy on held-out images."""
    from tensorboard.summary import Writer

    spec, training = module.SPEC, module.TRAINING
    framework = FRAMEWORKS[spec.framework]
    rng = np.random.default_rng(training.seed)
    order = rng.permutation(len(train_set))  # the same split for every model with this seed
    held_out, training_indices = order[: training.validation], order[training.validation :]
    validation = network_input(train_set.images[held_out], spec.layout), train_set.labels[held_out]

    trainer, average = framework.Trainer(network, training), Average(framework.weights(network))
    steps = len(training_indices) // training.batch
    for earlier in log_folder.glob("events.out.tfevents.*"):  # it would be drawn into the same curve
        files.remove(earlier)
    writer = Writer(str(log_folder))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(spec.name, total=training.epochs * steps, note="")
        for epoch in range(training.epochs):
            shuffled = rng.permutation(training_indices)
            images = augment.distort(train_set.images[shuffled], training, rng).reshape(-1, *spec.input_shape)
            labels = train_set.labels[shuffled]
            figures = _epoch(network, framework, trainer, average, images, labels, training, epoch,
                             lambda: progress.advance(task))  # fmt: skip
            now = framework.weights(network)
            framework.set_weights(network, average.values)
            accuracy, loss = _score(framework.logits(network, validation[0]), validation[1])
            framework.set_weights(network, now)
            for tag, value in (figures | {"loss/validation": loss, "accuracy/validation": accuracy}).items():
                writer.add_scalar(tag, value, epoch + 1)
            writer.flush()
            note = f"epoch {epoch + 1}/{training.epochs} loss {figures['loss/train']:.4f} validation {accuracy:.2%}"
            progress.update(task, note=note)
            progress.console.print(f"{spec.name}: {note}", highlight=False)
    writer.close()
    framework.set_weights(network, average.values)
    return accuracy


def _epoch(
    network, framework, trainer, average: Average, images, labels, training: Training, epoch: int, advance
) -> dict[str, float]:
    """Take every step of one epoch; return its figures by TensorBoard tag."""
    losses, total_correct = [], 0
    steps = len(images) // training.batch
    for i in range(steps):
        part = slice(i * training.batch, (i + 1) * training.batch)
        step = epoch * steps + i
        rate = learning_rate(training, step / (training.epochs * steps))
        loss, correct = trainer.step(images[part], labels[part], rate)
        losses.append(loss)
        total_correct += correct
        # the first weights are far from the last ones: the average begins short and grows
        average.add(framework.weights(network), min(training.average_decay, (step + 1) / (step + 11)))
        advance()
    accuracy = total_correct / (steps * training.batch)
    return {"loss/train": float(np.mean(losses)), "accuracy/train": accuracy, "learning_rate": rate}


def learning_rate(training: Training, done: float) -> float:
    """Return the one-cycle rate after a share `done` of all steps: linear up to the peak, a cosine down to 0."""
    if done < training.warmup:
        return training.learning_rate * (0.04 + 0.96 * done / training.warmup)
    down = (done - training.warmup) / (1 - training.warmup)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * down))


def _score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    from scipy.special import log_softmax

    loss = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()
    return float((logits.argmax(1) == labels).mean()), float(loss)
