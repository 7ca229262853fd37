"""A tiny ONNX network as a file, written by hand, for no environment of the app's tests has an exporter.

logits = flatten(image) x weights. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import numpy as np

FLOAT = 1


def content(weights: np.ndarray, shape: tuple[int, ...]) -> bytes:
    """Return the network of `weights` [values of an image, K] that takes images of a shape [N,...] with a fixed N."""
    count, classes = weights.shape
    initializer = (
        _field(1, count) + _field(1, classes) + _field(2, FLOAT) + _text(8, "w") + _bytes(9, weights.tobytes())
    )
    flatten = _text(1, "image") + _text(2, "flat") + _text(4, "Flatten")
    product = _text(1, "flat") + _text(1, "w") + _text(2, "logits") + _text(4, "MatMul")
    graph = (_bytes(1, flatten) + _bytes(1, product) + _text(2, "linear") + _bytes(5, initializer)
             + _bytes(11, _value("image", shape)) + _bytes(12, _value("logits", (shape[0], classes))))  # fmt: skip
    return _field(1, 8) + _bytes(7, graph) + _bytes(8, _field(2, 13))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_bytes(1, _field(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _field(1, FLOAT) + _bytes(2, dimensions)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())
