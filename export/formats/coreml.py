"""Apple's Core ML: an ML program in an .mlpackage, for iOS 16 and macOS 13; 4-bit weights in blocks need iOS 18.

All but float32 compute in half precision, which is what the Neural Engine takes; input and output stay float32. Apple's
runtime is on Apple's systems only: elsewhere the file is judged by its arithmetic (models/mil.py).
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contents, Layer, weights_by_dtype
from export.formats._quiet import quiet
from export.formats._torch import is_recurrent, unrolled
from export.source import Source
from models import mil
from models.frameworks import FRAMEWORKS

suffix = ".mlpackage"
tools = {"torch": ("torch", "coremltools"), "keras": ("tensorflow-cpu", "keras", "coremltools")}
family = "coreml"  # of both: coremltools imports all frameworks, whatever it converts
options = {"int4": ("block",)}

_JUDGED = "judged by the arithmetic of the file, not Apple's runtime"
_WEIGHTED = {"conv": "weight", "conv_transpose": "weight", "linear": "weight", "matmul": "y", "gather": "x"}
_IDENTIFIERS = {"model.mlmodel": "edgewise-0000-0000-0000-model", "weights": "edgewise-0000-0000-0000-weights"}
# what coremltools imports where it is installed, for networks in other forms than those that it is given here
_UNUSED = ("executorch", "torchao", "transformers", "sklearn", "xgboost", "libsvm", "torchvision", "torchaudio")
_DATE = "com.github.apple.coremltools.conversion_date"


def convert(source: Source, scheme: str, target: Path) -> None:
    with _without(_UNUSED):
        import coremltools  # noqa: F401  the first time, what it finds
    with quiet("", loggers=("coremltools",)):  # tested with older frameworks than these, and its bars of progress
        model = _SCHEMES[scheme](source)
        model.save(str(target))
    _settle(target)


def _program(source: Source, precision: str, system: str) -> Any:
    """Return the network as an ML program that takes `image` and gives `logits`."""

    def make() -> Any:
        import coremltools

        shape = (1, *source.input_shape)
        network, last = {"torch": _from_torch, "keras": _from_keras}[source.framework](source)
        model = coremltools.convert(
            network,
            source={"torch": "pytorch", "keras": "tensorflow"}[source.framework],
            inputs=[coremltools.TensorType(name="image", shape=shape, dtype=np.float32)],
            outputs=[coremltools.TensorType(name=last, dtype=np.float32)],
            convert_to="mlprogram",
            compute_precision=getattr(coremltools.precision, precision),
            minimum_deployment_target=getattr(coremltools.target, system),
            skip_model_load=True,
        )
        if last != "logits":
            spec = model.get_spec()
            coremltools.utils.rename_feature(spec, last, "logits")
            model = coremltools.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)
        return model

    return source.memo(f"coreml {precision} {system}", make)


def _from_torch(source: Source) -> tuple[Any, str]:
    import torch

    _teach_log_softmax()
    image = torch.zeros(1, *source.input_shape)
    network = source.network
    asks_sizes = isinstance(network, torch.fx.GraphModule) and network.graph.find_nodes(op="call_method", target="size")
    if is_recurrent(network) or asks_sizes:  # coremltools would write a loop, or compute with sizes, which it fails at
        network = unrolled(torch.export.export(network, (image,))).module()
    return torch.jit.trace(network, image, check_trace=False), "logits"


def _teach_log_softmax() -> None:
    """Tell coremltools another way than the logarithm of a softmax, which in half precision is that of zero."""
    from coremltools.converters.mil import Builder, register_torch_op

    @register_torch_op(override=True)
    def log_softmax(context: Any, node: Any) -> None:
        x, axis = context[node.inputs[0]], context[node.inputs[1]].val
        total = Builder.reduce_log_sum_exp(x=x, axes=[int(axis)], keep_dims=True)
        context.add(Builder.sub(x=x, y=total, name=node.name))


def _from_keras(source: Source) -> tuple[list[Any], str]:
    import tensorflow as tf

    _teach_erfc()
    network = source.network  # here: loaded while tf.function traces, it would never receive its trained weights
    signature = [tf.TensorSpec((1, *source.input_shape), tf.float32, name="image")]
    # a function, for coremltools does not take Keras 3's networks themselves ("no attribute output_names")
    function = tf.function(lambda image: FRAMEWORKS["keras"].call(network, image), input_signature=signature)
    concrete = function.get_concrete_function()
    return [concrete], concrete.outputs[0].name.partition(":")[0]


def _teach_erfc() -> None:
    """Tell coremltools how to convert TensorFlow's Erfc, which it does not know and Keras' GELU consists of."""
    from coremltools.converters.mil import Builder, register_tf_op

    @register_tf_op(override=True)
    def Erfc(context: Any, node: Any) -> None:  # noqa: N802 - the operator's name
        x = context[node.inputs[0]]
        one = np.float16(1) if _dtype(x) == "float16" else np.float32(1)
        context.add(node.name, Builder.sub(x=one, y=Builder.erf(x=x), name=node.name))


def _linear(source: Source, system: str, **how: Any) -> Any:
    from coremltools.optimize import coreml as optimize

    config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0, **how)
    options = optimize.OptimizationConfig(global_config=config)
    return optimize.linear_quantize_weights(_program(source, "FLOAT16", system), options)


def _palette(bits: int, source: Source) -> Any:
    from coremltools.optimize import coreml as optimize

    # with the default threshold, layers of fewer than 2,048 weights would silently stay wide
    config = optimize.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=0)
    options = optimize.OptimizationConfig(global_config=config)
    return optimize.palettize_weights(_program(source, "FLOAT16", "iOS16"), options)


_SCHEMES = {
    "float32": lambda source: _program(source, "FLOAT32", "iOS16"),
    "float16": lambda source: _program(source, "FLOAT16", "iOS16"),
    "dynamic_int8": lambda source: _linear(source, "iOS16", dtype="int8", granularity="per_channel"),
    "int4": lambda source: _linear(
        source, "iOS18", dtype="int4", granularity="per_block", block_size=source.options.block
    ),
    "palette4": lambda source: _palette(4, source),
    "palette6": lambda source: _palette(6, source),
}


def _settle(package: Path) -> None:
    """Take out what differs from one export to the next: a date, random identifiers, the order of a map's entries."""
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model.FromString((package / mil.MODEL).read_bytes())
    model.description.metadata.userDefined.pop(_DATE, None)
    (package / mil.MODEL).write_bytes(model.SerializeToString(deterministic=True))
    manifest = json.loads((package / "Manifest.json").read_text())
    entries = {_IDENTIFIERS[entry["name"]]: entry for entry in manifest["itemInfoEntries"].values()}
    manifest |= {"itemInfoEntries": entries, "rootModelIdentifier": _IDENTIFIERS["model.mlmodel"]}
    (package / "Manifest.json").write_text(json.dumps(manifest, indent=4, sort_keys=True))


def inspect(path: Path) -> Contents:
    operations = mil.operations(path)
    layers = tuple(_layers(operations))
    steps = [op for op in operations if op.op_type != "const" and not op.op_type.startswith("constexpr_")]
    half = any(_dtype(op.outputs[0]) == "float16" for op in steps)
    notes = _JUDGED, "computed in half precision" if half else "computed in float32"
    return Contents(weights=weights_by_dtype(layers), layers=layers, parts=len(operations), notes=notes)


def _layers(operations: list[Any]) -> Iterator[Layer]:
    """Yield the operators with stored weights; a product of two activations has none."""
    for op in operations:
        var = op.inputs.get(_WEIGHTED.get(op.op_type, ""))
        if var is not None and var.op is not None and (var.op.op_type == "const" or "constexpr" in var.op.op_type):
            shape = tuple(int(size) for size in var.shape)
            if op.op_type == "matmul":
                shape = shape[::-1]
            yield Layer(operator=op.op_type, shape=shape, dtype=_stored(var), quantizable=False)


def _stored(var: Any) -> str:
    """Return how a weight lies in the file: its dtype, or `paletteN` where it is indices of N bits into a table."""
    maker = var.op
    if maker.op_type == "constexpr_lut_to_dense":
        return f"palette{int(np.log2(maker.inputs['lut'].val.size))}"
    data = {"constexpr_affine_dequantize": "quantized_data", "constexpr_blockwise_shift_scale": "data"}
    return _dtype(maker.inputs[data[maker.op_type]] if maker.op_type in data else var)


def _dtype(var: Any) -> str:
    from coremltools.converters.mil.mil import types

    name = types.builtin_to_string(var.dtype)
    return {"fp16": "float16", "fp32": "float32"}.get(name, name)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    program = mil.Program(path)
    return np.concatenate([program.evaluate(images[i : i + 1]) for i in range(len(images))])


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Let these packages not be found, save those that are imported already."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
