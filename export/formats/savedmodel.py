"""TensorFlow's SavedModel, in the folder of versions that TensorFlow Serving takes. Keras only."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import EVERY, Contents, Layer, Tensor, weights_by_dtype
from export.formats import _batches
from export.judge import Defect
from export.source import Source

suffix = ".savedmodel"
tools = {"keras": ("tensorflow-cpu", "keras", "protobuf")}
options = {EVERY: ("batch",)}

_VERSION = "1"  # the subfolder: TensorFlow Serving serves the highest number
_SIGNATURE = "serving_default"


def convert(source: Source, scheme: str, target: Path) -> None:
    import keras
    import tensorflow as tf

    shape = source.input_shape  # for which a network is made, if there is none yet: not after the next line
    keras.utils.clear_session()  # restarts the counters in layers' names, which end up in the file
    network = source.fresh_network()

    @tf.function(input_signature=[tf.TensorSpec((_batch(source), *shape), tf.float32, name="image")])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": network(image, training=False)}

    module = tf.Module()
    # one by one: Keras' own export keeps the variables in a set, whose order is another in every process
    module.weights = {variable.path.replace("/", "_"): variable.value for variable in network.weights}
    folder = target / _VERSION
    # without gradients, which serving needs none of: two of Keras' swish would be registered by one name
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures={_SIGNATURE: serve}, options=options)
    _settle(folder)
    _check(inspect(target), source)


def _batch(source: Source) -> int | None:
    return source.options.batch if isinstance(source.options.batch, int) else None


def _settle(folder: Path) -> None:
    """Take out what differs from one export to the next: numbers in names, and a random identifier."""
    from google.protobuf import text_format

    saved = _parsed(folder)
    text = re.sub(r'"(__inference_\w+)_\d+"', r'"\1"', text_format.MessageToString(saved))
    text = re.sub(r'("_user_specified_name"\s+value \{\s+s: )"\d+"', r'\1""', text)  # of captured variables
    saved = text_format.Parse(text, type(saved)())
    saved.meta_graphs[0].graph_def.library.function.sort(key=lambda function: function.signature.name)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink()  # optional: checksums of the above, and the identifier


def _parsed(folder: Path) -> Any:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    return SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def _check(contents: Contents, source: Source) -> None:
    """Raise Defect unless clients find the signature that the contract promises."""
    batch = _batch(source) or -1
    promised = (
        (Tensor(name="image", shape=(batch, *source.input_shape), dtype="float32"),),
        (Tensor(name="logits", shape=(batch, source.classes), dtype="float32"),),
    )
    if (contents.inputs, contents.outputs) != promised:
        raise Defect(f"{_SIGNATURE} takes {contents.inputs} and gives {contents.outputs}")


def inspect(path: Path) -> Contents:
    import tensorflow as tf

    folder = path / _VERSION
    (graph,) = _parsed(folder).meta_graphs
    signature = graph.signature_def[_SIGNATURE]
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    dtypes = reader.get_variable_to_dtype_map()
    layers, constants = [], 0
    for name, shape in sorted(reader.get_variable_to_shape_map().items()):
        constants += int(np.prod(shape)) * max(dtypes[name].size, 1)
        if len(shape) > 1:
            layers.append(Layer(operator="", shape=tuple(shape), dtype=dtypes[name].name))
    nodes = [*graph.graph_def.node, *(node for f in graph.graph_def.library.function for node in f.node_def)]
    return Contents(
        inputs=_tensors(signature.inputs),
        outputs=_tensors(signature.outputs),
        weights=weights_by_dtype(layers),
        layers=tuple(layers),
        constants=constants,
        parts=len(nodes),
    )


def _tensors(entries: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Return a signature's tensors; -1 stands for a batch of any size."""
    import tensorflow as tf

    return tuple(
        Tensor(name=name, shape=tuple(d.size for d in entry.tensor_shape.dim), dtype=tf.as_dtype(entry.dtype).name)
        for name, entry in sorted(entries.items())
    )


def run(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path / _VERSION))  # kept: its signature does not keep it alive
    serve = loaded.signatures[_SIGNATURE]
    return _batches.answered(lambda images: serve(image=tf.constant(images))["logits"].numpy(), images, batch)
