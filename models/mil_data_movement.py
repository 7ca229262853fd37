"""Operators of Core ML's programs that move numbers and compute none: named inputs -> one array, or a list (mil_operators.py)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.common.errors import Unsupported

Array = np.ndarray
Inputs = dict[str, Any]


def either(i: Inputs, name: str, default: Any) -> Any:
    """Return an input, or a default where it was left out."""
    return default if i.get(name) is None else i[name]


def axes(i: Inputs) -> tuple[int, ...]:
    """Return the axes that an operation names, or all."""
    return tuple(range(i["x"].ndim)) if i.get("axes") is None else tuple(int(axis) for axis in i["axes"])


def _reshape(i: Inputs) -> Array:
    shape = [int(size) for size in i["shape"]]
    return i["x"].reshape([i["x"].shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def _split(i: Inputs) -> list[Array]:
    x, axis, sizes = i["x"], int(i["axis"]), i.get("split_sizes")
    ends = int(i["num_splits"]) if sizes is None else np.cumsum(np.asarray(sizes, int))[:-1]
    return np.split(x, ends, axis)


def _slice_by_index(i: Inputs) -> Array:
    x = i["x"]
    begin, end = ([int(n) for n in i[name]] for name in ("begin", "end"))
    step = [int(n) for n in either(i, "stride", [1] * x.ndim)]
    masks = (either(i, f"{name}_mask", [False] * x.ndim) for name in ("begin", "end", "squeeze"))
    from_first, to_last, one = ([bool(n) for n in mask] for mask in masks)
    return x[tuple(
        begin[a] if one[a] else slice(None if from_first[a] else begin[a], None if to_last[a] else end[a], step[a])
        for a in range(x.ndim)
    )]  # fmt: skip


def _slice_by_size(i: Inputs) -> Array:
    pairs = zip(i["begin"], i["size"], strict=True)
    return i["x"][tuple(slice(int(b), None if int(n) == -1 else int(b) + int(n)) for b, n in pairs)]


def _crop(i: Inputs) -> Array:
    (top, bottom), (left, right) = ([int(n) for n in i[f"crop_{axis}"]] for axis in ("height", "width"))
    return i["x"][..., top : i["x"].shape[-2] - bottom, left : i["x"].shape[-1] - right]


def _concat(i: Inputs) -> Array:
    axis = int(i["axis"])
    if not either(i, "interleave", False):
        return np.concatenate(i["values"], axis)
    together = np.stack(i["values"], axis % i["values"][0].ndim + 1)  # their channels take turns
    shape = list(i["values"][0].shape)
    shape[axis] *= len(i["values"])
    return together.reshape(shape)


def _gather(i: Inputs) -> Array:
    if int(either(i, "batch_dims", 0)):
        raise Unsupported("the evaluator of Core ML's programs knows no operator 'gather' with several batches")
    return np.take(i["x"], np.asarray(i["indices"]).astype(int), int(either(i, "axis", 0)))


def _pad(i: Inputs) -> Array:
    x, pad = i["x"], [int(p) for p in i["pad"]]
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    width = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}[either(i, "mode", "constant")]
    return np.pad(x, width, mode, **({"constant_values": either(i, "constant_val", 0.0)} if mode == "constant" else {}))


def _to_space(x: Array, n: int, *, channels_last: bool) -> Array:
    """Return [N,C,H,W] as [N,C/n^2,H*n,W*n]; the block's place is in the first part of C, or in its last."""
    b, c, h, w = x.shape
    if channels_last:
        return x.reshape(b, c // n**2, n, n, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(b, c // n**2, h * n, w * n)
    return x.reshape(b, n, n, c // n**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(b, c // n**2, h * n, w * n)


def _to_depth(x: Array, n: int, *, channels_last: bool) -> Array:
    """Return the opposite of _to_space."""
    b, c, h, w = x.shape
    blocks = x.reshape(b, c, h // n, n, w // n, n)
    axes = (0, 1, 3, 5, 2, 4) if channels_last else (0, 3, 5, 1, 2, 4)
    return blocks.transpose(axes).reshape(b, c * n**2, h // n, w // n)


def _nearest(i: Inputs) -> Array:
    rows, columns = (float(either(i, f"scale_factor_{axis}", 1)) for axis in ("height", "width"))
    if rows % 1 or columns % 1:
        msg = f"the evaluator of Core ML's programs knows no operator 'upsample_nearest_neighbor' by {rows:g} and {columns:g}"
        raise Unsupported(msg)
    return i["x"].repeat(int(rows), -2).repeat(int(columns), -1)


MOVES: dict[str, Callable[[Inputs], Array | list[Array]]] = {
    "reshape": _reshape,
    "transpose": lambda i: np.transpose(i["x"], [int(axis) for axis in i["perm"]]),
    "squeeze": lambda i: np.squeeze(i["x"], tuple(int(axis) for axis in i["axes"])),
    "expand_dims": lambda i: np.expand_dims(i["x"], tuple(int(axis) for axis in i["axes"])),
    "concat": _concat,
    "stack": lambda i: np.stack(i["values"], int(i["axis"])),
    "split": _split,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "gather": _gather,
    "tile": lambda i: np.tile(i["x"], [int(n) for n in i["reps"]]),
    "reverse": lambda i: np.flip(i["x"], axes(i)),
    "pad": _pad,
    "crop": _crop,
    "pixel_shuffle": lambda i: _to_space(i["x"], int(i["upscale_factor"]), channels_last=True),
    "pixel_unshuffle": lambda i: _to_depth(i["x"], int(i["downscale_factor"]), channels_last=True),
    "depth_to_space": lambda i: _to_space(i["x"], int(i["block_size"]), channels_last=False),
    "space_to_depth": lambda i: _to_depth(i["x"], int(i["block_size"]), channels_last=False),
    "upsample_nearest_neighbor": _nearest,
}
