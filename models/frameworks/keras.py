"""Keras' side of the zoo, on TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from models.spec import Training


def seed(value: int) -> None:
    keras.utils.set_random_seed(value)


def _variables(network: keras.Model) -> dict[str, keras.Variable]:
    # named by layer and role: a variable's own path begins with a counter that grows with every network made
    return {f"{layer.name}/{v.name}": v for layer in network.layers for v in layer.weights if v.dtype == "float32"}


def weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Return the named weights as float32 arrays of their own."""
    return {name: np.array(variable.numpy()) for name, variable in _variables(network).items()}


def set_weights(network: keras.Model, values: Mapping[str, np.ndarray]) -> keras.Model:
    """Put named weights into the network; raises on names or shapes that are not its own."""
    variables = _variables(network)
    if variables.keys() != values.keys():
        msg = f"the weights are named {sorted(values)}, the network's {sorted(variables)}"
        raise ValueError(msg)
    for name, variable in variables.items():
        variable.assign(values[name])
    return network


def logits(network: keras.Model, images: np.ndarray, batch: int = 500) -> np.ndarray:
    """Return float32 [N,10] for grey values [N,28,28,1]."""
    parts = [network(images[i : i + batch], training=False).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


class Trainer:
    """One optimizer step at a time, so that both frameworks share one training loop."""

    def __init__(self, network: keras.Model, training: Training) -> None:
        self.optimizer = keras.optimizers.AdamW(weight_decay=training.weight_decay)
        self.optimizer.build(network.trainable_variables)

        @tf.function(reduce_retracing=True)
        def step(images, labels):
            with tf.GradientTape() as tape:
                answer = network(images, training=True)
                target = tf.one_hot(labels, 10) * (1 - training.label_smoothing) + training.label_smoothing / 10
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, answer))
            self.optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
            right = tf.math.count_nonzero(tf.argmax(answer, 1, output_type=tf.int32) == labels)
            return loss, right

        self._step = step

    def step(self, images: np.ndarray, labels: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Train on one batch; return its mean loss and its number of right answers."""
        self.optimizer.learning_rate.assign(learning_rate)
        loss, right = self._step(tf.constant(images), tf.constant(labels, tf.int32))
        return float(loss), int(right)
