"""Keras' side of the zoo, on TensorFlow."""

import io
import os
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path

import numpy as np

from models import data

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.update(data.keras_home())

import keras
import tensorflow as tf

from models.profile import Layer, Profile
from models.spec import Training


def seed(value: int) -> None:
    keras.utils.set_random_seed(value)


def _variables(network: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables, named by layer and role."""
    variables = {}
    for layer, name in _names(network.layers):
        inner_names = {inner.name: name for inner, name in _names(layer._flatten_layers(include_self=False))}
        for variable in layer.weights:
            if variable.dtype == "float32":
                inner = variable.path.rpartition(f"{layer.name}/")[-1]  # of a layer made of layers: query/kernel
                variables["/".join((name, *(inner_names.get(part, part) for part in inner.split("/"))))] = variable
    return variables


def _names(layers: Iterable[keras.Layer]) -> Iterator[tuple[keras.Layer, str]]:
    """Yield layers with their names; those without one, which Keras numbers per process, are numbered here."""
    numbers: Counter[str] = Counter()
    for layer in layers:
        name, kind = layer.name, keras.src.utils.naming.to_snake_case(type(layer).__name__)
        if re.fullmatch(rf"{kind}(_\d+)?", name):
            name = f"{kind}_{numbers[kind]}" if numbers[kind] else kind
            numbers[kind] += 1
        yield layer, name


def weights(network: keras.Model) -> dict[str, np.ndarray]:
    """Return copies of the named weights, as float32 arrays."""
    return {name: np.array(variable.numpy()) for name, variable in _variables(network).items()}


def set_weights(network: keras.Model, values: Mapping[str, np.ndarray]) -> keras.Model:
    """Put named weights into the network; raises on names or shapes that are not its own."""
    variables = _variables(network)
    if variables.keys() != values.keys():
        raise ValueError(f"the weights are named {sorted(values)}, the network's {sorted(variables)}")
    for name, variable in variables.items():
        variable.assign(values[name])
    return network


def open_whole(content: bytes) -> keras.Model:
    """Return the network of a .keras or .h5 file, loaded in safe mode: no code in it runs. Raises ValueError."""
    suffix = ".h5" if content.startswith(b"\x89HDF") else ".keras"
    if suffix == ".keras" and not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError("it is no .keras or .h5 file, or is cut off")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{suffix}"
        path.write_bytes(content)
        try:
            network = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # zipfile's, h5py's, Keras' own: whatever is raised, the file is at fault
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if "safe_mode" in why:
                why = "it holds Python code (a Lambda layer), which is never run: put a layer of Keras in its place"
            if "No model config found" in why:
                why = "it holds weights alone: save the whole network, or put NAME.weights.h5 beside NAME.py"
            if own := re.search(r"Could not locate class '(\w+)'", str(error)):
                why = f"it holds a class of yours, {own[1]}; bring its code as NAME.py, with network() and NAME.weights.h5 beside it"
            raise ValueError(f"Keras {keras.__version__} cannot load it: {why}") from error
    return _for_inference(network)


def open_weights(network: keras.Model, content: bytes, suffix: str, shape: tuple[int, ...] = ()) -> keras.Model:
    """Put the weights of a file into the network; raises ValueError or SafetensorError where they are another network's.

    `shape` is that of an image, for a network that was not told: a subclass of Model, or a Sequential without an Input.
    """
    of_code = network
    if not getattr(network, "inputs", None):
        image = keras.Input(shape)
        network = keras.Model(image, of_code(image))
    if suffix == ".safetensors":
        from safetensors.numpy import load

        return _for_inference(set_weights(network, load(content)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{suffix}"
        path.write_bytes(content)
        of_code.load_weights(path)
    return _for_inference(network)


def _for_inference(network: keras.Model) -> keras.Model:
    """Make a network one that all converters take: it computes in float32, whatever precision it was trained in.

    The steps of recurrent layers are written one after another: of a loop, no converter but TensorFlow's makes plain
    operators. Their cells drop nothing, but would draw random numbers for it, which need a state. Raises ValueError for a
    network that is none from one tensor of images to one of logits, in floats.
    """
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        msg = f"it has {len(network.inputs)} inputs and {len(network.outputs)} outputs; save a network with one of each"
        raise ValueError(msg)
    if isinstance(getattr(network, "output", None), dict):  # which a Sequential that was not called has not
        raise ValueError("it returns a dict; save a network that returns one tensor of logits [N,K]")
    if "float" not in (dtype := network.inputs[0].dtype):
        raise ValueError(f"it takes {dtype}; save it with an input of float32, as which it gets uint8 images in 0..1")
    for layer in network._flatten_layers():
        policy = layer.dtype_policy
        if policy.quantization_mode:
            raise ValueError(
                "it is quantized already; save it as it was before, and Edgewise quantizes it for each format"
            )
        if policy.compute_dtype != policy.variable_dtype == "float32":
            layer.dtype_policy = "float32"
        if isinstance(layer, keras.src.layers.rnn.dropout_rnn_cell.DropoutRNNCell):
            layer.dropout = layer.recurrent_dropout = 0.0
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True
    return network


def call(network: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Return the logits [N,K] of images, without functions in the graph: Keras compiles grouped convolutions into one.

    No converter but TensorFlow's looks into them.
    """
    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        return network(images, training=False)
    finally:
        tf.config.run_functions_eagerly(eagerly)


def input_shape(network: keras.Model) -> tuple[int | None, ...]:
    """Return the shape of one image, None for a free size."""
    return tuple(network.input_shape[1:])


def takes_batches(network: keras.Model, images: np.ndarray) -> bool:
    """Tell whether the network takes any number of images."""
    return network.input_shape[0] is None


def logits(network: keras.Model, images: np.ndarray, batch: int = 500) -> np.ndarray:
    """Return float32 [N,K] for images [N,*input_shape]; one by one where the network takes no batch."""
    batch = batch if takes_batches(network, images) else 1
    parts = [network(images[i : i + batch], training=False).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


# by operator: the axes of its weights whose sizes multiply to the MACs of one output value
_PRODUCTS = {"Conv2D": (0, 1, 2), "Conv3D": (0, 1, 2, 3), "DepthwiseConv2dNative": (0, 1)}


def profile(network: keras.Model, input_shape: tuple[int, ...]) -> Profile:
    """Count parameters and multiply-accumulates for one image, in the graph that TensorFlow computes.

    A batch norm's running statistics are no parameters. Raises ValueError for an operator that cannot be counted.
    """
    from tensorflow.python.framework.func_graph import func_graph_from_py_func

    image = tf.TensorSpec((1, *input_shape), tf.float32)
    graph = func_graph_from_py_func("network", lambda x: call(network, x), (image,), {})
    stored = {tensor.op.name for tensor in graph.internal_captures}
    seen: set[str] = set()
    layers = tuple(layer for operator in graph.get_operations() if (layer := _layer(operator, stored, seen)))
    counted = [v for name, v in _variables(network).items() if not name.endswith(("/moving_mean", "/moving_variance"))]
    return Profile(parameters=sum(int(np.prod(v.shape)) for v in counted), layers=layers)


def _new_weights(tensor: tf.Tensor, stored: Set[str], seen: set[str]) -> tuple[int, ...]:
    """Return the shape of stored weights that are not `seen` yet, else ()."""
    source = tensor.op
    while source.type in ("Identity", "ReadVariableOp", "Reshape", "Transpose", "Cast"):  # einsum rearranges weights
        source = source.inputs[0].op
    is_new = (source.name in stored or source.type == "Const") and source.name not in seen
    seen.add(source.name)
    return tuple(tensor.shape) if is_new else ()


def _layer(operator: tf.Operation, stored: Set[str], seen: set[str]) -> Layer | None:
    """Return the operator's weights and multiply-accumulates, or None for one without products."""
    kind, inputs = operator.type, operator.inputs
    if kind in _PRODUCTS:
        macs = np.prod(operator.outputs[0].shape) * np.prod([inputs[1].shape[axis] for axis in _PRODUCTS[kind]])
    elif kind == "Conv2DBackpropInput":  # each value of the input meets the whole kernel
        macs = np.prod(inputs[2].shape) * np.prod(inputs[1].shape[:3])
    elif kind in ("MatMul", "BatchMatMul", "BatchMatMulV2"):
        flipped = operator.get_attr("transpose_a" if kind == "MatMul" else "adj_x")
        macs = np.prod(operator.outputs[0].shape) * inputs[0].shape[-2 if flipped else -1]
    elif kind == "Einsum":
        macs = _einsum_macs(operator)
    elif kind.startswith(("Conv", "CudnnRNN", "While")):
        raise ValueError(f"the multiply-accumulates of {kind} ({operator.name}) cannot be counted")
    else:
        return None
    return Layer(shape=_new_weights(inputs[1], stored, seen), macs=int(macs))


def _einsum_macs(operator: tf.Operation) -> int:
    """Return the product of the sizes of all axes of an einsum."""
    equation = operator.get_attr("equation").decode()
    axes: dict[str, int] = {}
    for names, value in zip(equation.partition("->")[0].split(","), operator.inputs, strict=True):
        names = names.strip()
        if "..." in names:
            names = names.replace("...", "".join(map(chr, range(0x100, 0x100 + len(value.shape) - len(names) + 3))))
        axes |= dict(zip(names, value.shape, strict=True))
    return int(np.prod([int(n) for n in axes.values()]))


class Trainer:
    """One optimizer step at a time, so that both frameworks share one training loop."""

    def __init__(self, network: keras.Model, training: Training) -> None:
        self.optimizer = keras.optimizers.AdamW(weight_decay=training.weight_decay)
        self.optimizer.build(network.trainable_variables)

        @tf.function(reduce_retracing=True)
        def step(images, labels):
            with tf.GradientTape() as tape:
                logits = network(images, training=True)
                classes, smoothing = logits.shape[-1], training.label_smoothing
                target = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
            self.optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
            correct = tf.math.count_nonzero(tf.argmax(logits, 1, output_type=tf.int32) == labels)
            return loss, correct

        self._step = step

    def step(self, images: np.ndarray, labels: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Train on one batch; return its mean loss and its number of correct predictions."""
        self.optimizer.learning_rate.assign(learning_rate)
        loss, correct = self._step(tf.constant(images), tf.constant(labels, tf.int32))
        return float(loss), int(correct)
