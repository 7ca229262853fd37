"""The float graph in every scheme of onnxruntime, as the bytes of an ONNX file."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_model import ONNXModel

from export.formats import _batches, _onnx_graph
from export.schemes import left_in_float
from export.source import Source
from models.common.errors import Unsupported

# x86 without VNNI multiplies bytes with VPMADDUBSW: u8 x s8, and the sum of two products saturates at 16 bits. Weights
# of 7 bits cannot reach that (2 x 255 x 64 = 32,640). Unsigned weights would not either, but leave the fast path of
# x86 (VNNI is u8 x s8; the Keras network took a quarter longer). Arm takes u8 x s8 as it is: onnxruntime
# has NEON, dot product and i8mm kernels for it. So one file serves both.
# https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
WEIGHTS_OF_7_BITS = {"per_channel": True, "reduce_range": True}

AT_ONCE = 100  # images: all activations of all of them would not fit into memory for larger networks


def build(source: Source, scheme: str) -> bytes:
    """Return the ONNX file of a scheme, made once per source."""
    return source.memo(f"onnx {scheme}", lambda: _onnx_graph.finish(SCHEMES[scheme](source), source))


def _float16(source: Source) -> onnx.ModelProto:
    # Only the weights are halves: given a graph in half, onnxruntime on x86 casts every tensor between the layers.
    # So the same float32 arithmetic runs everywhere, and constant folding widens the weights once, on loading.
    model = _onnx_graph.float32(source)
    _narrow(model, ("Conv", "Gemm", "MatMul"), lambda weights: (weights.astype(np.float16), None))
    return model


def _dynamic_int8(source: Source) -> onnx.ModelProto:
    def quantize(prepared: str, target: str) -> None:
        quantization.quantize_dynamic(
            prepared,
            target,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=_left_in_float(onnx.load(prepared).graph, source),
            **WEIGHTS_OF_7_BITS,
        )

    model = _quantized(source, quantize)
    # ConvInteger is slower than a float convolution: 1.2 to 1.5 times with uint8 weights, 3 to 4 times with int8 ones
    _narrow(model, ("Conv",), _int8_per_channel)
    return model


def _int8(source: Source) -> onnx.ModelProto:
    options = source.options
    methods = quantization.CalibrationMethod
    method = methods.Percentile if options.calibration == "percentile" else methods.MinMax
    if options.calibration == "mse":
        raise Unsupported("onnxruntime calibrates by minmax, percentile or entropy, not by the mean squared error")

    def quantize(prepared: str, target: str) -> None:
        quantization.quantize_static(
            prepared,
            target,
            _calibration(prepared, source.calibration),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # not the normalisation, which is exact in float and quantizes once, at the first convolution
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Reshape", "Transpose"],
            # logits that calibration never saw would be clipped: a dense layer ends in float32, as it accumulates
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]}
            | ({} if options.symmetric is None else {"ActivationSymmetric": options.symmetric}),
            calibrate_method=method,
            nodes_to_exclude=_left_in_float(onnx.load(prepared).graph, source),
            **WEIGHTS_OF_7_BITS | {"per_channel": options.granularity != "per_tensor"},
        )

    return _quantized(source, quantize)


def _int4(source: Source) -> onnx.ModelProto:
    model = ONNXModel(_onnx_graph.float32(source))
    _unshare(model.model)
    model.replace_gemm_with_matmul()  # the quantizer leaves Gemm untouched without a word
    # accuracy_level 4: activations become int8 on the way, blockwise, so that the products are integers
    float_nodes = _left_in_float(model.model.graph, source)
    quantizer = MatMulNBitsQuantizer(
        model.model, block_size=source.options.block, is_symmetric=True, accuracy_level=4, nodes_to_exclude=float_nodes
    )
    quantizer.process()
    _narrow(quantizer.model.model, ("Conv",), _int8_per_channel)  # there is no 4-bit convolution
    return quantizer.model.model


def _weights_in_8_bits(source: Source) -> onnx.ModelProto:
    """Return what OpenVINO makes dynamic_int8 of: from the MatMulInteger of that scheme it folds the weights back in silence."""
    model = _onnx_graph.float32(source)
    _unshare(model)
    outputs_first(model)
    _narrow(model, ("Conv", "Gemm"), _int8_per_channel)
    _narrow(model, ("MatMul",), _int8_per_column)
    return model


SCHEMES: dict[str, Callable[[Source], onnx.ModelProto]] = {
    "float32": _onnx_graph.float32,
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _int8,
    "int4": _int4,
    "weights in 8 bits": _weights_in_8_bits,
}


def _left_in_float(graph: onnx.GraphProto, source: Source) -> list[str]:
    return left_in_float([node.name for node in graph.node], source.options, "graph")


def _calibration(model: str, images: np.ndarray) -> SimpleNamespace:
    """Return onnxruntime's CalibrationDataReader: batches of the size that the graph takes, where that is any of AT_ONCE."""
    batch = onnx.load(model).graph.input[0].type.tensor_type.shape.dim[0]
    n = min(len(images), AT_ONCE) if batch.dim_param else batch.dim_value
    batches = iter([{"image": part} for part in _batches.split(images, n)])
    return SimpleNamespace(get_next=lambda: next(batches, None))


def _quantized(source: Source, quantize: Callable[[str, str], None]) -> onnx.ModelProto:
    """Run one of onnxruntime's quantizers, which go from file to file, on the prepared float graph."""
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, target = (str(Path(folder) / name) for name in ("plain.onnx", "prepared.onnx", "target.onnx"))
        model = _onnx_graph.float32(source)
        _unshare(model)
        onnx.save(model, plain)  # given a model, not a file, the next line loses the tensors
        # symbolic inference is for transformers; onnx's own knows every shape of these graphs
        quantization.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize(prepared, target)
        return onnx.load(target)


def _unshare(model: onnx.ModelProto) -> None:
    """Give each product weights of its own: onnxruntime's dynamic quantizer gives garbage where two share theirs."""
    graph = model.graph
    tensors, seen = {tensor.name: tensor for tensor in graph.initializer}, set()
    for node in (node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")):
        name = node.input[1]
        if name in tensors and name in seen:
            node.input[1] = f"{node.name}.own"
            copy = graph.initializer.add()
            copy.CopyFrom(tensors[name])
            copy.name = node.input[1]
        seen.add(name)


Narrow = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


def _narrow(model: onnx.ModelProto, operators: Iterable[str], narrow: Narrow) -> None:
    """Store the weights of `operators` as `narrow` returns them (values, scale); the graph widens them to float32.

    Cast and Mul, not DequantizeLinear: onnxruntime folds them once on loading, DequantizeLinear runs per inference.
    """
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    widen = []
    for name in dict.fromkeys(node.input[1] for node in graph.node if node.op_type in operators):
        if name not in tensors:  # a product of two activations
            continue
        values, scale = narrow(numpy_helper.to_array(tensors[name]))
        tensors[name].CopyFrom(numpy_helper.from_array(values, f"{name}.{values.dtype}"))
        wide = name if scale is None else f"{name}.cast"
        widen.append(helper.make_node("Cast", [f"{name}.{values.dtype}"], [wide], wide, to=TensorProto.FLOAT))
        if scale is not None:
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
            widen.append(helper.make_node("Mul", [wide, f"{name}.scale"], [name], name))
    nodes = [*widen, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _int8_per_channel(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # all 8 bits: these products are taken in float32, nothing saturates
    peak = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    scale = np.where(peak > 0, peak, 1).astype(np.float32) / np.float32(127)
    return np.rint(weights / scale).astype(np.int8), scale


def _int8_per_column(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [..., inputs, outputs] in 8 bits with a scale for each output."""
    values, scale = _int8_per_channel(np.moveaxis(weights, -1, 0).reshape(weights.shape[-1], -1))
    turned = np.moveaxis(values.reshape(weights.shape[-1], *weights.shape[:-1]), 0, -1)
    return np.ascontiguousarray(turned), scale.reshape(*[1] * (weights.ndim - 1), -1)


def outputs_first(model: onnx.ModelProto) -> None:
    """Lay out each dense layer's weights [outputs, inputs], so that each output has a scale.

    A scale for each input is good ONNX, and OpenVINO 2026.4 takes it for one of an output in silence: logits were off by
    19, and 99.8 % of the answers still agreed.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        if node.op_type == "Gemm" and not turned and node.input[1] in tensors:
            weights = numpy_helper.to_array(tensors[node.input[1]])
            tensors[node.input[1]].CopyFrom(numpy_helper.from_array(weights.T.copy(), node.input[1]))
            others = [attribute for attribute in node.attribute if attribute.name != "transB"]
            del node.attribute[:]
            node.attribute.extend([*others, helper.make_attribute("transB", 1)])
