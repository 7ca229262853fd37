"""From a Keras network to a .tflite file in each scheme."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from export import fine_tuning
from export.formats import _batches, _tflite_file, _tflite_quantizer
from export.schemes import QAT_LEARNING_RATE
from export.source import Source
from models.common.errors import Unsupported
from models.frameworks import FRAMEWORKS


def convert(source: Source, scheme: str) -> bytes:
    """Return the file: [N,*input_shape] -> [N,K], N being the options' batch.

    TensorFlow's converter has no 4-bit weights, and no options but the images: the quantizer of LiteRT takes its place there.
    """
    shape = source.input_shape  # for which a network is made, if there is none yet: not after the next line
    keras.utils.clear_session()  # restarts the counters in layers' names, which end up in the file
    network = source.fresh_network()
    if scheme == "qat_int8":
        weights = fine_tuning.weights(source, __name__, lambda: fine_tuned(network, source))
        FRAMEWORKS["keras"].set_weights(network, weights)
    # a batch of any size would add ops on shapes, which split the delegate in two
    image = keras.Input(batch_shape=(source.batch, *shape), name="image")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, network(image)))
    if is_litert_quantized(source, scheme):
        return _tflite_quantizer.quantize(_tflite_file.tidied(converter.convert()), scheme, source)
    if scheme != "float32":
        _quantize(converter, scheme, source)
    try:
        return converter.convert()
    except RuntimeError as error:  # "Quantization to 16x8-bit not yet supported for op: 'HARD_SWISH'."
        if "not yet supported" not in str(error):
            raise
        raise Unsupported(f"TensorFlow's converter cannot make {scheme}: {str(error).strip()}") from error


def is_litert_quantized(source: Source, scheme: str) -> bool:
    """Tell whether the scheme or its options are none of TensorFlow's converter."""
    options = source.options
    chosen = bool(options.calibration or options.keep_float or options.granularity == "per_tensor")
    return scheme == "int4" or chosen or options.symmetric is not None


def _quantize(converter: tf.lite.TFLiteConverter, scheme: str, source: Source) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme in ("int8", "int8_io", "qat_int8"):
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if scheme == "int8_io":
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    if scheme == "int16x8":
        mixed = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [mixed]
    if scheme not in ("float16", "dynamic_int8"):
        batches = _batches.split(source.calibration, source.batch)
        converter.representative_dataset = lambda: ([images] for images in batches)


def fine_tuned(network: keras.Model, source: Source) -> dict[str, np.ndarray]:
    """Return the network's weights, trained on a little while its weights and activations are rounded to 8 bits."""
    layers = [x for x in network._flatten_layers() if _kernels(x)]  # also those inside of other layers
    ranges = _input_ranges(network, layers, source.calibration)
    optimizer = keras.optimizers.Adam(QAT_LEARNING_RATE)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = network(images, training=False)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    with _calls(layers, lambda layer, call: _rounded(layer, call, ranges[layer.path])):
        for images, labels in source.training_batches(source.options.steps):
            step(tf.constant(images), tf.constant(labels))
    return FRAMEWORKS["keras"].weights(network)


def _kernels(layer: keras.Layer) -> list[keras.Variable]:
    """Return a layer's own weights that its inputs are multiplied with."""
    return [] if layer._layers else [v for v in layer.trainable_variables if len(v.shape) > 1]


@contextmanager
def _calls(layers: list[keras.Layer], around: Callable[[keras.Layer, Callable], Callable]) -> Iterator[None]:
    """Put `around(layer, its call)` in the place of each layer's call, wherever in the network it is called from."""
    for layer in layers:
        layer.call = around(layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _input_ranges(
    network: keras.Model, layers: list[keras.Layer], images: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest input of each layer, zero included."""
    ranges = {layer.path: (0.0, 0.0) for layer in layers}

    def noting(layer: keras.Layer, call: Callable) -> Callable:
        def noted(x: tf.Tensor, *arguments, **options) -> tf.Tensor:
            low, high = ranges[layer.path]
            ranges[layer.path] = min(float(np.min(x)), low), max(float(np.max(x)), high)
            return call(x, *arguments, **options)

        return noted

    with _calls(layers, noting):
        network(images, training=False)
    return ranges


def _rounded(layer: keras.Layer, call: Callable, inputs: tuple[float, float]) -> Callable:
    """Return the layer's call with its input and its weights as int8 would hold them; gradients pass through."""

    def rounded(x: tf.Tensor, *arguments, **options) -> tf.Tensor:
        if x.dtype.is_floating:  # an embedding takes whole numbers
            x = tf.quantization.fake_quant_with_min_max_vars(x, *inputs)
        with keras.StatelessScope(state_mapping=[(v, _rounded_weights(layer, v)) for v in _kernels(layer)]):
            return call(x, *arguments, **options)

    return rounded


def _rounded_weights(layer: keras.Layer, weights: keras.Variable) -> tf.Tensor:
    """Round to 8 bits with one scale per output channel: the last axis, with the one before in depthwise layers."""
    values, shape = weights.value, weights.shape
    if "depthwise" in weights.name or isinstance(layer, keras.layers.DepthwiseConv2D):
        values = tf.reshape(values, (*shape[:-2], shape[-2] * shape[-1]))
    largest = tf.reduce_max(tf.abs(values), axis=tuple(range(values.shape.rank - 1)))
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(values, -largest, largest, narrow_range=True)
    return tf.reshape(rounded, shape)
