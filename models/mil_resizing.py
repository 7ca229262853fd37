"""How Core ML's programs resize images, in NumPy; they are the last two axes of x, [...,H,W].

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html says where each samples.
"""

import math
from typing import Any

import numpy as np

from models.common.errors import Unsupported


def upsample_nearest(i: dict[str, Any]) -> np.ndarray:
    """Return x with each row and column as often as the factors say; raises Unsupported where they are no integers."""
    rows, columns = _factors(i)
    if rows % 1 or columns % 1:
        msg = f"the evaluator of Core ML's programs knows no operator 'upsample_nearest_neighbor' by {rows:g} and {columns:g}"
        raise Unsupported(msg)
    return i["x"].repeat(int(rows), -2).repeat(int(columns), -1)


def upsample_bilinear(i: dict[str, Any]) -> np.ndarray:
    """Return x in so many times the size: between the corners' centres, or between the images' edges."""
    corners, centred = i.get("align_corners"), i.get("half_pixel_centers")
    mode = (
        "STRICT_ALIGN_CORNERS"
        if corners in (None, True)
        else "UNALIGN_CORNERS"
        if centred in (None, True)
        else "DEFAULT"
    )
    sizes = [math.floor(n * factor) for n, factor in zip(i["x"].shape[-2:], _factors(i), strict=True)]
    return _bilinear(i["x"], sizes, mode)


def resize_bilinear(i: dict[str, Any]) -> np.ndarray:
    """Return x in another size; raises Unsupported for a mode that is none of the documented ones."""
    sizes = [int(i.get(f"target_size_{axis}") or 1) for axis in ("height", "width")]
    return _bilinear(i["x"], sizes, str(i.get("sampling_mode") or "DEFAULT"))


def affine(i: dict[str, Any]) -> np.ndarray:
    """Return x [N,C,H,W] through maps of places [N,6], as a spatial transformer sees it."""
    columns, rows = (_places(int(i[f"output_{side}"]), i) for side in ("width", "height"))
    grid = np.stack([*np.meshgrid(columns, rows), np.ones((len(rows), len(columns)))], -1)
    maps = i["transform_matrix"].astype(np.float64).reshape(-1, 1, 2, 3)
    return _sampled(i, grid @ maps.swapaxes(2, 3))


def resample(i: dict[str, Any]) -> np.ndarray:
    """Return x [N,C,H,W] at coordinates [N,H,W,2]."""
    return _sampled(i, i["coordinates"].astype(np.float64))


def _sampled(i: dict[str, Any], coordinates: np.ndarray) -> np.ndarray:
    """Return x at coordinates, each the column and the row from -1 to 1; what lies outside is zero.

    Raises Unsupported for samples of another kind.
    """
    kind = [str(i.get(name)) for name in ("sampling_mode", "padding_mode", "coordinates_mode")]
    if kind != ["bilinear", "constant", "normalized_minus_one_to_one"] or i.get("padding_value"):
        raise Unsupported(f"the evaluator of Core ML's programs knows no operator 'resample' with {', '.join(kind)}")
    x, size = i["x"], np.array(i["x"].shape[:1:-1])
    places = (coordinates + 1) / 2
    places = places * (size - 1) if i.get("align_corners") else places * size - 0.5
    first, result = np.floor(places).astype(int), 0.0
    for corner in np.ndindex(2, 2):
        at = first + corner
        share = np.prod(1 - np.abs(places - at), -1) * ((at >= 0) & (at < size)).all(-1)
        columns, rows = np.moveaxis(at.clip(0, size - 1), -1, 0)
        result = result + share[..., None] * x[np.arange(len(x))[:, None, None], :, rows, columns]
    return np.moveaxis(result, -1, 1).astype(x.dtype)


def _places(n: int, i: dict[str, Any]) -> np.ndarray:
    """Return where n pixels lie from -1 to 1: the first and the last at the ends, or half a pixel from there."""
    return np.linspace(-1, 1, n) if i.get("align_corners") else (np.arange(n) * 2 + 1) / n - 1


def _factors(i: dict[str, Any]) -> list[float]:
    return [float(i.get(f"scale_factor_{axis}") or 1) for axis in ("height", "width")]


def _bilinear(x: np.ndarray, sizes: list[int], mode: str) -> np.ndarray:
    rows, columns = (_weights(n, size, mode) for n, size in zip(x.shape[-2:], sizes, strict=True))
    return (rows @ x @ columns.T).astype(x.dtype)


def _weights(n: int, size: int, mode: str) -> np.ndarray:
    """Return what each of `size` samples takes of `n` pixels: [size,n], in two pixels at most."""
    index, one = np.arange(size), size == 1
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        places = np.full(1, (n - 1) / 2 if mode == "ALIGN_CORNERS" else 0) if one else index * (n - 1) / (size - 1)
    elif mode == "UNALIGN_CORNERS":
        places = (index + 0.5) * n / size - 0.5
    elif mode == "OFFSET_CORNERS":
        places = (index + 0.5) * max(1, n - 1) / size
    elif mode == "DEFAULT":
        places = index * n / size
    else:
        raise Unsupported(f"the evaluator of Core ML's programs knows no operator 'resize_bilinear' with {mode}")
    places = places.clip(0, n - 1)
    before = np.minimum(places.astype(int), max(n - 2, 0))
    weights = np.zeros((size, n))
    weights[index, before] = 1 - (places - before)
    weights[index, np.minimum(before + 1, n - 1)] += places - before
    return weights
