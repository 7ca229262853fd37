"""The training loop that both frameworks share: augmentation, schedule, weight averaging, TensorBoard, card."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from scipy.stats import binomtest

from models import augment, checkpoints, data, files
from models.frameworks import FRAMEWORKS
from models.spec import Training
from models.zoo import ZOO


def train(model: str, log_folder: Path) -> dict[str, Any]:
    """Train one model of the zoo, write its checkpoint, card and TensorBoard log; return the card."""
    from tensorboard.summary import Writer

    module = ZOO[model]
    spec, training = module.SPEC, module.TRAINING
    framework = FRAMEWORKS[spec.framework]
    digits = data.load("train", "mnist")

    rng = np.random.default_rng(training.seed)
    order = rng.permutation(len(digits))  # the same split for every model with this seed
    held_out, kept = order[: training.validation], order[training.validation :]
    validation = data.grey(digits.images[held_out], spec.input_shape), digits.labels[held_out]

    framework.seed(training.seed)
    network = module.network()
    trainer = framework.Trainer(network, training)
    average = framework.weights(network)
    steps_per_epoch = len(kept) // training.batch
    total = training.epochs * steps_per_epoch
    files.remove(log_folder / model)  # an earlier run would be drawn into the same curve
    writer = Writer(str(log_folder / model))
    cpu_start, step = time.process_time(), 0

    with _progress() as progress:
        task = progress.add_task(model, total=total, note="")
        for epoch in range(training.epochs):
            shuffled = rng.permutation(kept)
            distorted = augment.distort(digits.images[shuffled], training, rng).reshape(-1, *spec.input_shape)
            losses, right = [], 0
            for i in range(steps_per_epoch):
                part = slice(i * training.batch, (i + 1) * training.batch)
                rate = learning_rate(training, step / total)
                loss, good = trainer.step(distorted[part], digits.labels[shuffled[part]], rate)
                losses.append(loss)
                right += good
                step += 1
                decay = min(training.average_decay, step / (step + 10))
                for name, value in framework.weights(network).items():
                    average[name] += (value - average[name]) * (1 - decay)
                progress.advance(task)
            now = framework.weights(network)
            framework.set_weights(network, average)
            averaged_accuracy, averaged_loss = _score(framework.logits(network, validation[0]), validation[1])
            framework.set_weights(network, now)
            for tag, value in {
                "loss/train": float(np.mean(losses)),
                "loss/validation": averaged_loss,
                "accuracy/train": right / (steps_per_epoch * training.batch),
                "accuracy/validation": averaged_accuracy,
                "learning_rate": rate,
            }.items():
                writer.add_scalar(tag, value, epoch + 1)
            writer.flush()
            note = f"epoch {epoch + 1}/{training.epochs} loss {np.mean(losses):.4f} validation {averaged_accuracy:.2%}"
            progress.update(task, note=note)
            progress.console.print(f"{model}: {note}", highlight=False)
    writer.close()
    framework.set_weights(network, average)
    cpu_minutes = (time.process_time() - cpu_start) / 60

    test = data.load("test", "mnist")
    test_accuracy, _ = _score(framework.logits(network, data.grey(test.images, spec.input_shape)), test.labels)
    card = {
        "model": model,
        "title": spec.title,
        "source": spec.source,
        "parameters": spec.parameters,
        "seed": training.seed,
        "epochs": training.epochs,
        "cpu_minutes": round(cpu_minutes, 1),
        "validation_accuracy": averaged_accuracy,
        "test_accuracy": test_accuracy,
        "test_accuracy_95": _interval(test_accuracy, len(test)),
        "data": {"name": "mnist", "sha256": data.MNIST_SHA256},
        "sha256": checkpoints.save(model, network),
        "fingerprint": checkpoints.fingerprint(model),
    }
    files.write_json(checkpoints.card_path(model), card)
    return card


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


def _interval(accuracy: float, n: int) -> list[float]:
    bounds = binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return [round(bounds.low, 5), round(bounds.high, 5)]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
