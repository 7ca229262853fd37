"""Images in an artifact's input format, and logits from its output; stands alone, for it is copied to devices, too."""

from __future__ import annotations

import base64

import numpy as np


def single(tensor: dict) -> tuple[int, ...]:
    """Return a tensor's shape for one inference: of the artifact's batch, or of one image where the batch is any (-1)."""
    return (max(tensor["shape"][0], 1), *tensor["shape"][1:])


def native(image: np.ndarray, tensor: dict, layout: str) -> np.ndarray:
    """Return an image [H,W] or [H,W,C] in the artifact's input format: uint8 becomes 0..1, float32 stays as it is.

    `layout` is the order of one image's axes in the input: hw, hwc or chw. Axes are transposed, never reshaped, which
    would scramble the pixels of several channels. Values are quantized where the input is. For a larger batch the image
    is repeated. Raises ValueError for an image of another shape.
    """
    values = image.astype(np.float32)
    if image.dtype == np.uint8:
        values = values / np.float32(255.0)
    if layout == "hw":
        values = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    else:
        values = values[..., None] if values.ndim == 2 else values
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0)) if layout == "chw" else values
    expected = single(tensor)
    values = np.repeat(values[None], expected[0], axis=0)
    if values.ndim != len(expected) or any(size not in (-1, got) for size, got in zip(expected, values.shape)):  # noqa: B905 - devices have older Pythons
        msg = f"the images have the shape {list(image.shape)}, which as {layout} is not the artifact's {list(expected)}"
        raise ValueError(msg)
    if tensor["scale"] is None:
        return values.astype(tensor["dtype"])
    bounds = np.iinfo(tensor["dtype"])
    quantized = np.rint(values / tensor["scale"]) + tensor["zero_point"]
    return np.clip(quantized, bounds.min, bounds.max).astype(tensor["dtype"])


def dequantized(output: np.ndarray, tensor: dict) -> np.ndarray:
    """Return an output as float logits."""
    if tensor["scale"] is None:
        return output
    return (output.astype(np.float32) - tensor["zero_point"]) * tensor["scale"]


def golden_image(golden: dict, sidecar: dict) -> np.ndarray:
    """Return the pixels of one of a sidecar's golden vectors, uint8 or float32, [H,W] or [H,W,C]."""
    content, dtype = (golden["image_u8"], "u1") if golden.get("image_u8") else (golden["image_f32"], "<f4")
    shape, layout = sidecar["inputs"][0]["shape"][1:], sidecar["layout"]
    if layout == "chw":
        shape = [*shape[1:], shape[0]]
    return np.frombuffer(base64.b64decode(content), dtype).reshape(shape)
