"""litert-quantizer: a float .tflite in, a quantized one out."""

import re
from typing import Any

from litert_quantizer import qtyping, quantizer
from litert_quantizer.calibrator import Calibrator
from litert_quantizer.recipe_manager import RecipeManager
from litert_quantizer.utils import qsv_utils

from export import phases
from export.formats import _batches, _tflite_file
from export.formats._quiet import quiet
from export.schemes import left_in_float
from export.source import Source
from models.common.errors import Unsupported
from models.own.settings import Options

_BLOCKS = (32, 64, 128, 256)  # weights that may share a scale in 4-bit
_ALL = qtyping.TFLOperationName.ALL_SUPPORTED


def quantize(float32: bytes, scheme: str, source: Source) -> bytes:
    """Return a float file, whose input is called `image`, quantized as the source's options say.

    Raises Unsupported for a block that there is none of, and for an operator to keep that is not in the file.
    """
    rows = {
        "float16": _float16,
        "dynamic_int8": lambda: _dynamic_int8(source.options),
        "int8": lambda: _static(source.options, 8),
        "int16x8": lambda: _static(source.options, 16),
        "int4": lambda: _int4(float32, source.options),
    }[scheme]()
    names = _tflite_file.operators(float32)
    rows += [_float(_ALL, f"^{re.escape(names[n])};$") for n in left_in_float(names, source.options, "file")]
    # a comparison that sorts, or a sum of a window: calibration does not see such values
    rows += [_float(_ALL, f"^{re.escape(name)};$") for name in _tflite_file.nested_operators(float32)]
    work = quantizer.Quantizer(float32, rows)
    with quiet(".*experimental_preserve_all_tensors"):  # which is how calibration works
        ranges = _ranges(float32, rows, source) if work.need_calibration else None
        return bytes(work.quantize(ranges, enable_progress_report=False).quantized_model)


def _float(operation: str, regex: str = ".*") -> dict[str, Any]:
    return {"regex": regex, "operation": operation, "algorithm_key": "no_quantize", "op_config": {}}


def _rows(algorithm: str, **config: Any) -> qtyping.ModelQuantizationRecipe:
    manager = RecipeManager()
    manager.add_quantization_config(".*", _ALL, qtyping.OpQuantizationConfig(**config), algorithm)
    return manager.get_quantization_recipe()


def _weights(options: Options) -> dict[str, Any]:
    """Return how the scales of weights are found and what shares them, as its recipes name it."""
    if options.calibration == "percentile":
        raise Unsupported("litert-quantizer calibrates by minmax, or by mse for weights, not by percentiles")
    names = quantizer.AlgorithmName
    granularity = qtyping.QuantGranularity
    return {
        "algorithm_key": names.MSE if options.calibration == "mse" else names.MIN_MAX_UNIFORM_QUANT,
        "granularity": granularity.TENSORWISE if options.granularity == "per_tensor" else granularity.CHANNELWISE,
    }


def _static(options: Options, bits: int) -> qtyping.ModelQuantizationRecipe:
    """Return the recipe for 8-bit weights and activations of so many bits, which are asymmetric where 8 bits may be."""
    if bits == 16 and options.symmetric is False:
        raise Unsupported("litert-quantizer's 16-bit activations are always symmetric, as LiteRT's kernels want them")
    weights, kind = _weights(options), qtyping.TensorQuantizationConfig
    rows = _rows(
        weights["algorithm_key"],
        activation_tensor_config=kind(num_bits=bits, symmetric=bits == 16 or bool(options.symmetric)),
        weight_tensor_config=kind(num_bits=8, symmetric=True, granularity=weights["granularity"]),
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )
    return [*rows, _float("INPUT"), _float("OUTPUT")]


def _dynamic_int8(options: Options) -> qtyping.ModelQuantizationRecipe:
    manager = RecipeManager()
    manager.add_dynamic_config(regex=".*", operation_name=_ALL, num_bits=8, **_weights(options))
    # A convolution of one channel is a depthwise one here. XNNPACK has no such kernel for 8-bit weights on float
    # activations: quantizing its few weights splits the delegate in two, and the small network takes 3 times as long.
    return [*manager.get_quantization_recipe(), _float("DEPTHWISE_CONV_2D")]


def _float16() -> qtyping.ModelQuantizationRecipe:
    return _rows(
        quantizer.AlgorithmName.FLOAT_CASTING,
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )


def _int4(float32: bytes, options: Options) -> qtyping.ModelQuantizationRecipe:
    """Dense layers in 4-bit blocks where their rows divide into blocks; what has no such kernel as in dynamic_int8."""
    if options.block not in _BLOCKS:
        raise Unsupported(f"litert-quantizer has no blocks of {options.block}; it has {', '.join(map(str, _BLOCKS))}")
    rows, blocks = _dynamic_int8(options), qtyping.QuantGranularity(f"BLOCKWISE_{options.block}")
    for name, columns in _tflite_file.dense_layers(float32):
        if columns % options.block == 0:
            manager, dense = RecipeManager(), qtyping.TFLOperationName.FULLY_CONNECTED
            manager.add_dynamic_config(f"^{re.escape(name)};$", dense, num_bits=4, granularity=blocks)
            rows += manager.get_quantization_recipe()
    return rows


def _ranges(float32: bytes, rows: qtyping.ModelQuantizationRecipe, source: Source) -> dict[str, qtyping.QSV]:
    """Return each activation's smallest and largest value; the default, a moving average, would clip the logits."""
    manager = RecipeManager()
    manager.load_quantization_recipe(rows)
    calibrator = Calibrator(float32, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    batches = _batches.split(source.calibration, source.batch)
    with phases.phase(phases.CALIBRATE):
        calibrator.calibrate({"serving_default": [{"image": images} for images in batches]}, manager)
    return calibrator.get_model_qsvs()
