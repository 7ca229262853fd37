"""ai-edge-quantizer: a float .tflite in, a quantized one out."""

from __future__ import annotations

import re
import warnings

import numpy as np
from ai_edge_quantizer import qtyping, quantizer, recipe
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.recipe_manager import RecipeManager
from ai_edge_quantizer.utils import qsv_utils

from export.formats import _tflite_file

_BLOCK = 32  # weights that share a scale in 4-bit


def quantize(float32: bytes, scheme: str, calibration: np.ndarray) -> bytes:
    """Return a float file, whose input is called `image`, quantized; `calibration` is float32 [N,*input_shape]."""
    rows = {
        "float16": _float16,
        "dynamic_int8": _dynamic_int8,
        "int8": lambda: recipe.static_wi8_ai8() + _float("INPUT", "OUTPUT"),
        "int16x8": lambda: recipe.static_wi8_ai16() + _float("INPUT", "OUTPUT"),
        "int4": lambda: _int4(float32),
    }[scheme]()
    work = quantizer.Quantizer(float32, rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors")  # which is how calibration works
        ranges = _ranges(float32, rows, calibration) if work.need_calibration else None
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


def _int4(float32: bytes) -> qtyping.ModelQuantizationRecipe:
    """Dense layers in 4-bit blocks where their rows divide into blocks; what has no such kernel as in dynamic_int8."""
    rows = _dynamic_int8()
    for name, columns in _tflite_file.dense_layers(float32):
        if columns % _BLOCK == 0:
            dense = qtyping.TFLOperationName.FULLY_CONNECTED
            rows += recipe.dynamic_wi4b32_afp32(operation_name=dense, regex=f"^{re.escape(name)};$")
    return rows


def _ranges(float32: bytes, rows: qtyping.ModelQuantizationRecipe, calibration: np.ndarray) -> dict[str, qtyping.QSV]:
    """Return each activation's smallest and largest value; the default, a moving average, would clip the logits."""
    manager = RecipeManager()
    manager.load_quantization_recipe(rows)
    calibrator = Calibrator(float32, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    calibrator.calibrate({"serving_default": [{"image": image[None]} for image in calibration]}, manager)
    return calibrator.get_model_qsvs()
