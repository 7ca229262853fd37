"""TFLite (LiteRT): from Keras by TensorFlow's converter, from PyTorch by litert-torch and ai-edge-quantizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.contract import Contents
from export.schemes import SCHEMES
from export.source import Source

suffix = ".tflite"

_FINE_TUNED = "fine-tuned for {steps} steps with 8-bit rounding simulated, then calibrated and quantized as int8"


def tools(framework: str) -> tuple[str, ...]:
    converters = {"torch": ("torch", "litert-torch", "litert-converter"), "keras": ("tensorflow-cpu", "keras")}
    return (*converters[framework], "ai-edge-quantizer", "ai-edge-litert", "flatbuffers")


def options(framework: str, scheme: str) -> tuple[str, ...]:
    known = {"int8": ("images",), "int8_io": ("images",), "int16x8": ("images",), "qat_int8": ("images", "steps")}
    blocks = ("block",) if scheme == "int4" else ()
    # TensorFlow's own converter names no operators to leave out
    floats = ("keep_float",) if framework == "torch" and scheme not in ("float32", "float16", "qat_int8") else ()
    return (*known.get(scheme, ()), *blocks, *floats)


def convert(source: Source, scheme: str, target: Path) -> None:
    from export.formats import _tflite_file

    if source.framework == "torch":
        from export.formats import _tflite_torch as converter
    else:
        from export.formats import _tflite_keras as converter
    description = _FINE_TUNED.format(steps=source.steps) if SCHEMES[scheme].trained else ""
    target.write_bytes(_tflite_file.tidied(converter.convert(source, scheme), description))


def inspect(path: Path) -> Contents:
    from export.formats import _tflite_file

    return _tflite_file.contents(path.read_bytes())


def run(path: Path, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    infer = interpreter.get_signature_runner()
    return np.concatenate([infer(image=images[i : i + 1])["logits"] for i in range(len(images))])
