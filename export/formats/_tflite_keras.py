"""From a Keras network to a .tflite file in each scheme."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from export.formats import _tflite_file, _tflite_quantizer
from export.schemes import QAT_LEARNING_RATE, QAT_STEPS
from export.source import Source


def convert(source: Source, scheme: str) -> bytes:
    """Return the file: [1,*input_shape] -> [1,10]."""
    keras.utils.clear_session()  # restarts the counters in layers' names, which end up in the file
    network = source.fresh_network()
    if scheme == "qat_int8":
        fine_tune(network, source)
    # a batch of any size would add ops on shapes, which split the delegate in two
    image = keras.Input(batch_shape=(1, *source.spec.input_shape), name="image")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, network(image)))
    if scheme == "int4":  # which TensorFlow's converter does not do
        return _tflite_quantizer.quantize(_tflite_file.tidied(converter.convert()), scheme, source.calibration)
    if scheme != "float32":
        _quantize(converter, scheme, source.calibration)
    return converter.convert()


def _quantize(converter: tf.lite.TFLiteConverter, scheme: str, calibration: np.ndarray) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme in ("int8", "int8_io", "qat_int8"):
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if scheme == "int8_io":
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    if scheme == "int16x8":
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    if scheme not in ("float16", "dynamic_int8"):
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)


def fine_tune(network: keras.Sequential, source: Source) -> None:
    """Train the network on a little while its weights and activations are rounded to 8 bits."""
    ranges = _input_ranges(network, source.calibration)
    optimizer = keras.optimizers.Adam(QAT_LEARNING_RATE)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            answer = images
            for layer in network.layers:
                answer = _rounded(layer, answer, ranges)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, answer))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    for images, labels in source.training_batches(QAT_STEPS):
        step(tf.constant(images), tf.constant(labels))


def _input_ranges(network: keras.Sequential, images: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest input of each layer with weights, zero included."""
    ranges, answer = {}, images
    for layer in network.layers:
        if layer.trainable_variables:
            ranges[layer.name] = min(float(np.min(answer)), 0.0), max(float(np.max(answer)), 0.0)
        answer = layer(answer, training=False) if isinstance(layer, keras.layers.Dropout) else layer(answer)
    return ranges


def _rounded(layer: keras.Layer, x: tf.Tensor, ranges: dict[str, tuple[float, float]]) -> tf.Tensor:
    """Compute a layer with its input and its weights as int8 would hold them; gradients pass through."""
    if isinstance(layer, keras.layers.Dropout):
        return x
    if layer.name not in ranges:
        return layer(x)
    kernel, bias = layer.trainable_variables
    # one scale per output channel, which is the last axis
    largest = tf.reduce_max(tf.abs(kernel), axis=tuple(range(kernel.shape.rank - 1)))
    kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)
    x = tf.quantization.fake_quant_with_min_max_vars(x, *ranges[layer.name])
    return layer.stateless_call([kernel, bias], [], x)[0]
