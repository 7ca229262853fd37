"""ai-edge-quantizer: a float .tflite in, a quantized one out."""

from __future__ import annotations

import fnmatch
import re
import warnings

import numpy as np
from ai_edge_quantizer import qtyping, quantizer, recipe
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.recipe_manager import RecipeManager
from ai_edge_quantizer.utils import qsv_utils

from export.formats import _tflite_file
from export.source import Source
from models.errors import Unsupported

_BLOCK = 32  # weights that share a scale in 4-bit
_BLOCKWISE = {32: recipe.dynamic_wi4b32_afp32, 64: recipe.dynamic_wi4b64_afp32}


def quantize(float32: bytes, scheme: str, source: Source) -> bytes:
    """Return a float file, whose input is called `image`, quantized as the source's options say.

    Raises Unsupported for a block that there is none of, and for an operator to keep that is not in the file.
    """
    rows = {
        "float16": _float16,
        "dynamic_int8": _dynamic_int8,
        "int8": lambda: recipe.static_wi8_ai8() + _float("INPUT", "OUTPUT"),
        "int16x8": lambda: recipe.static_wi8_ai16() + _float("INPUT", "OUTPUT"),
        "int4": lambda: _int4(float32, source.options.block or _BLOCK),
    }[scheme]()
    rows += _kept(float32, source.options.keep_float or ())
    work = quantizer.Quantizer(float32, rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors")  # which is how calibration works
        ranges = _ranges(float32, rows, source.calibration) if work.need_calibration else None
        return bytes(work.quantize(ranges, enable_progress_report=False).quantized_model)


def _float(*operations: str) -> qtyping.ModelQuantizationRecipe:
    return [{"regex": ".*", "operation": o, "algorithm_key": "no_quantize", "op_config": {}} for o in operations]


def _dynamic_int8() -> qtyping.ModelQuantizationRecipe:
    # A convolution of one channel is a depthwise one here. XNNPACK has no such kernel for 8-bit weights on float
    # activations: quantizing its few weights splits the delegate in two, and the small network takes 3 times as long.
    return recipe.dynamic_wi8_afp32() + _float("DEPTHWISE_CONV_2D")


def _float16() -> qtyping.ModelQuantizationRecipe:
    manager = RecipeManager()
    manager.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
    )
    return manager.get_quantization_recipe()


def _kept(float32: bytes, patterns: tuple[str, ...]) -> qtyping.ModelQuantizationRecipe:
    """Leave operators in float whose name matches one of the globs."""
    rows = []
    names = _tflite_file.operators(float32)
    for pattern in patterns:
        matching = fnmatch.filter(names, pattern)
        if not matching:
            msg = f"keep_float: {pattern!r} matches no operator of the file; there are: {', '.join(names)}"
            raise Unsupported(msg)
        for name in matching:
            operation = qtyping.TFLOperationName.ALL_SUPPORTED
            rows.append(
                {
                    "regex": f"^{re.escape(names[name])};$",
                    "operation": operation,
                    "algorithm_key": "no_quantize",
                    "op_config": {},
                }
            )
    return rows


def _int4(float32: bytes, block: int) -> qtyping.ModelQuantizationRecipe:
    """Dense layers in 4-bit blocks where their rows divide into blocks; what has no such kernel as in dynamic_int8."""
    if block not in _BLOCKWISE:
        msg = f"ai-edge-quantizer has no blocks of {block}; it has {' and '.join(map(str, _BLOCKWISE))}"
        raise Unsupported(msg)
    rows = _dynamic_int8()
    for name, columns in _tflite_file.dense_layers(float32):
        if columns % block == 0:
            dense = qtyping.TFLOperationName.FULLY_CONNECTED
            rows += _BLOCKWISE[block](operation_name=dense, regex=f"^{re.escape(name)};$")
    return rows


def _ranges(float32: bytes, rows: qtyping.ModelQuantizationRecipe, calibration: np.ndarray) -> dict[str, qtyping.QSV]:
    """Return each activation's smallest and largest value; the default, a moving average, would clip the logits."""
    manager = RecipeManager()
    manager.load_quantization_recipe(rows)
    calibrator = Calibrator(float32, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    calibrator.calibrate({"serving_default": [{"image": image[None]} for image in calibration]}, manager)
    return calibrator.get_model_qsvs()
