"""A tiny ONNX network for the app's tests: one that reads colour pictures, of other sizes and classes than the zoo's.

Written by hand, for no environment of the tests has the exporters: logits = flatten(image) x weights.
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np

FLOAT = 1
LABELS = ("apple", "banana", "cherry", "a fruit with a rather long name", "elderberry", "fig", "grape")
SIDE = (12, 16)


def write(folder: Path, id: str = "fruit-onnx-float32") -> None:
    """Write the artifact and its sidecar; images are [1,H,W,3]."""
    rng = np.random.default_rng(7)
    weights = rng.normal(scale=0.02, size=(SIDE[0] * SIDE[1] * 3, len(LABELS))).astype(np.float32)
    content = _model(weights)
    images = rng.integers(0, 256, (3, *SIDE, 3), np.uint8)
    tensors = [{"name": name, "shape": shape, "dtype": "float32", "scale": None, "zero_point": None}
               for name, shape in (("image", [1, *SIDE, 3]), ("logits", [1, len(LABELS)]))]  # fmt: skip
    golden = []
    for image in images:
        logits = (image.reshape(1, -1).astype(np.float32) / np.float32(255)) @ weights
        pixels = base64.b64encode(image.tobytes()).decode()
        golden.append({"index": 0, "label": int(logits.argmax()), "image_u8": pixels, "image_f32": "",
                       "logits": [float(x) for x in logits[0]]})  # fmt: skip
    model, format_, scheme = id.split("-")
    sidecar = {
        "id": id, "model": model, "framework": "torch", "format": format_, "scheme": scheme, "key": "k", "outcome": "ok",
        "file": f"{id}.onnx", "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content),
        "inputs": tensors[:1], "outputs": tensors[1:], "layout": "hwc", "labels": LABELS, "golden": golden,
        "checkpoint_sha256": "c" * 64,
    }  # fmt: skip
    (folder / f"{id}.onnx").write_bytes(content)
    (folder / f"{id}.json").write_text(json.dumps(sidecar))


def _model(weights: np.ndarray) -> bytes:
    count, classes = weights.shape
    initializer = (
        _field(1, count) + _field(1, classes) + _field(2, FLOAT) + _text(8, "w") + _bytes(9, weights.tobytes())
    )
    flatten = _text(1, "image") + _text(2, "flat") + _text(4, "Flatten")
    product = _text(1, "flat") + _text(1, "w") + _text(2, "logits") + _text(4, "MatMul")
    graph = (_bytes(1, flatten) + _bytes(1, product) + _text(2, "fruit") + _bytes(5, initializer)
             + _bytes(11, _value("image", (1, *SIDE, 3))) + _bytes(12, _value("logits", (1, classes))))  # fmt: skip
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
