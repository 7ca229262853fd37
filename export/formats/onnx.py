"""ONNX, for onnxruntime on every platform and for whatever else reads the exchange format. The batch is free."""

from pathlib import Path

from export.contract import EVERY, Contents
from export.formats import _onnxruntime
from export.source import Source

suffix = ".onnx"
tools = {
    "torch": ("torch", "onnxscript", "onnx", "onnxruntime"),
    "keras": ("tensorflow-cpu", "keras", "tf2onnx", "onnx", "onnxruntime"),
}
family = "onnx of {framework}"  # of all that starts from the float ONNX graph
options = {
    EVERY: ("batch",),
    "dynamic_int8": ("keep_float",),
    "int8": ("calibration", "images", "granularity", "symmetric", "keep_float"),
    "int4": ("block", "keep_float"),
}
run = _onnxruntime.run
read = _onnxruntime.read


def build(source: Source, scheme: str) -> bytes:
    """Return the ONNX file of a scheme, which other formats start from; made once per source."""
    from export.formats import _onnx_schemes

    return _onnx_schemes.build(source, scheme)


def convert(source: Source, scheme: str, target: Path) -> None:
    target.write_bytes(build(source, scheme))


def inspect(path: Path) -> Contents:
    return _onnxruntime.contents(path, read(path), widened="on loading")
