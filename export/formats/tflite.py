"""TFLite (LiteRT): from Keras by TensorFlow's converter, from PyTorch by litert-torch and litert-quantizer."""

from pathlib import Path

import numpy as np

from export.contract import EVERY, Contents
from export.formats import _batches
from export.schemes import SCHEMES
from export.source import Source

suffix = ".tflite"
_QUANTIZER = ("litert-quantizer", "ai-edge-litert", "flatbuffers")
tools = {
    "torch": ("torch", "litert-torch", "litert-converter", *_QUANTIZER),
    "keras": ("tensorflow-cpu", "keras", *_QUANTIZER),
}
_STATIC = ("calibration", "images", "granularity", "symmetric", "keep_float")
options = {
    EVERY: ("batch", "rewrites"),
    "dynamic_int8": ("calibration", "granularity", "keep_float"),
    **dict.fromkeys(("int8", "int8_io", "int16x8"), _STATIC),
    "int4": ("block", "keep_float"),
    "qat_int8": ("images", "steps"),
}
rewrites = ("paddings", "transposes", "pixels_as_channels", "views")

_FINE_TUNED = "fine-tuned for {steps} steps with 8-bit rounding simulated, then calibrated and quantized as int8"


def convert(source: Source, scheme: str, target: Path) -> None:
    from export.formats import _tflite_file

    if source.framework == "torch":
        from export.formats import _tflite_torch as converter
    else:
        from export.formats import _tflite_keras as converter
    notes = [_FINE_TUNED.format(steps=source.options.steps)] if SCHEMES[scheme].trained else []
    if source.framework == "keras" and scheme != "int4" and converter.is_litert_quantized(source, scheme):
        notes.append("quantized by litert-quantizer: TensorFlow's converter has no such options")
    if source.options.calibration == "mse":
        notes.append("mse sets the scales of weights; activations keep their smallest and largest values")
    content = _tflite_file.tidied(converter.convert(source, scheme), "; ".join(notes))
    target.write_bytes(_tflite_file.freed(content) if source.is_dynamic else content)


def inspect(path: Path) -> Contents:
    from export.formats import _tflite_file

    return _tflite_file.contents(path.read_bytes())


def rewritten(content: bytes, name: str) -> tuple[bytes, list[str]]:
    """Return a file after a rewrite, and the operators that it changed, none where there is nothing for it to do."""
    from export.rewrites import REWRITES
    from export.rewrites._graph import Graph

    graph = Graph(content)
    operators = REWRITES[name].rewrite(graph) if graph.whole else []
    return graph.content() if operators else content, operators


def run(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    infer = interpreter.get_signature_runner()  # which resizes the input where it has to
    return _batches.answered(lambda images: infer(image=images)["logits"], images, batch)
