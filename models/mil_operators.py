"""The operators of Core ML's programs in NumPy, by name: named inputs, of float32 where they are numbers -> one array, or a list.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html says what each does.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from models import mil_resizing
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


def _padding(i: Inputs, sizes: tuple[int, ...], kernel: list[int], strides: list[int], dilations: list[int]) -> list:
    """Return what is added before and after each of the last axes."""
    kind = i["pad_type"]
    if kind == "valid":
        return [(0, 0)] * len(sizes)
    if kind == "custom":
        pad = [int(p) for p in i["pad"]]
        return list(zip(pad[::2], pad[1::2], strict=True))
    padding = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        padding.append((total - total // 2, total // 2) if kind == "same_lower" else (total // 2, total - total // 2))
    return padding


def _windows(x: Array, i: Inputs, kernel: list[int], fill: float) -> Array:
    """Return the windows that a kernel slides over, [N,C,*out,*kernel]; `fill` stands outside of the image."""
    strides, dilations = ([int(s) for s in either(i, name, [1] * len(kernel))] for name in ("strides", "dilations"))
    padding = _padding(i, x.shape[2:], kernel, strides, dilations)
    if i.get("ceil_mode"):
        padding = [
            (before, after + (-(size + before + after - k)) % stride)
            for (before, after), size, k, stride in zip(padding, x.shape[2:], kernel, strides, strict=True)
        ]
    padded = np.pad(x, [(0, 0), (0, 0), *padding], constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axes)
    return windows[(slice(None), slice(None), *(slice(None, None, step) for step in (*strides, *dilations)))]


def _affine(result: Array, i: Inputs, shape: Sequence[int], scale: str = "gamma", offset: str = "beta") -> Array:
    """Return a result times `scale` plus `offset`, inputs that are reshaped to `shape`; one that was left out does nothing."""
    result = result if i.get(scale) is None else result * i[scale].reshape(shape)
    return result if i.get(offset) is None else result + i[offset].reshape(shape)


def _channels(x: Array) -> tuple[int, ...]:
    """Return the shape in which a vector of a value per channel meets [N,C,...]."""
    return (1, -1, *[1] * (x.ndim - 2))


def _normalised(i: Inputs, axes: tuple[int, ...], shape: Sequence[int]) -> Array:
    """Return x with the mean 0 and the variance 1 over some axes, scaled and shifted."""
    centred = i["x"] - i["x"].mean(axes, keepdims=True)
    return _affine(centred / np.sqrt((centred**2).mean(axes, keepdims=True) + i["epsilon"]), i, shape)


def _conv(i: Inputs) -> Array:
    x, weight, groups = i["x"], i["weight"], int(either(i, "groups", 1))
    windows = _windows(x, i, list(weight.shape[2:]), 0.0)
    n, _, *rest = windows.shape
    out = rest[: x.ndim - 2]
    outputs = []
    for windows_of, weights_of in zip(np.split(windows, groups, 1), np.split(weight, groups, 0), strict=True):
        columns = np.moveaxis(windows_of, 1, x.ndim - 1).reshape(n * math.prod(out), -1)
        outputs.append((columns @ weights_of.reshape(len(weights_of), -1).T).reshape(n, *out, -1))
    return _affine(np.moveaxis(np.concatenate(outputs, -1), -1, 1), i, _channels(x), scale="", offset="bias")


def _conv_transpose(i: Inputs) -> Array:
    x, weight, groups = i["x"], i["weight"], int(either(i, "groups", 1))
    n, _, *sizes = x.shape
    kernel = weight.shape[2:]
    strides, dilations = ([int(s) for s in either(i, name, [1] * len(kernel))] for name in ("strides", "dilations"))
    per_group = weight.shape[1]
    whole = [(size - 1) * s + (k - 1) * d + 1 for size, s, k, d in zip(sizes, strides, kernel, dilations, strict=True)]
    if i.get("output_shape") is not None:
        out = [int(size) for size in i["output_shape"][2:]]
    elif i["pad_type"] == "custom":
        out = [size - int(a) - int(b) for size, a, b in zip(whole, i["pad"][::2], i["pad"][1::2], strict=True)]
    else:
        out = whole if i["pad_type"] == "valid" else [size * s for size, s in zip(sizes, strides, strict=True)]
    before = [max(size - o, 0) // 2 for size, o in zip(whole, out, strict=True)]
    if i["pad_type"] == "custom":
        before = [int(p) for p in i["pad"][::2]]
    larger = [max(size, b + o) for size, b, o in zip(whole, before, out, strict=True)]
    total = np.zeros((n, groups * per_group, *larger), np.float32)
    for place in np.ndindex(*kernel):
        at = tuple(
            slice(p * d, p * d + (size - 1) * s + 1, s)
            for p, d, size, s in zip(place, dilations, sizes, strides, strict=True)
        )
        for group, (inputs, weights) in enumerate(zip(np.split(x, groups, 1), np.split(weight, groups), strict=True)):
            products = np.tensordot(weights[(..., *place)].T, inputs, (1, 1))  # [outputs,N,*sizes]
            total[(slice(None), slice(group * per_group, (group + 1) * per_group), *at)] += np.moveaxis(products, 0, 1)
    result = total[(..., *(slice(b, b + o) for b, o in zip(before, out, strict=True)))]
    return _affine(result, i, _channels(x), scale="", offset="bias")


def _max_pool(i: Inputs) -> Array:
    kernel = [int(k) for k in i["kernel_sizes"]]
    windows = _windows(i["x"], i, kernel, -np.inf)
    return reduce(np.maximum, (windows[(..., *place)] for place in np.ndindex(*kernel)))


def _avg_pool(i: Inputs) -> Array:
    kernel = [int(k) for k in i["kernel_sizes"]]
    axes = tuple(range(-len(kernel), 0))
    total = _windows(i["x"], i, kernel, 0.0).sum(axes)
    if not i.get("exclude_padding_from_average"):
        return total / np.float32(math.prod(kernel))
    return total / _windows(np.ones_like(i["x"]), i, kernel, 0.0).sum(axes)


def _batch_norm(i: Inputs) -> Array:
    shape = _channels(i["x"])
    scale = 1 / np.sqrt(i["variance"] + i["epsilon"])
    scale = scale if i.get("gamma") is None else scale * i["gamma"]
    return _affine((i["x"] - i["mean"].reshape(shape)) * scale.reshape(shape), i, shape, scale="")


def _layer_norm(i: Inputs) -> Array:
    x, axes = i["x"], tuple(int(axis) % i["x"].ndim for axis in i["axes"])
    return _normalised(i, axes, [size if axis in axes else 1 for axis, size in enumerate(x.shape)])


def _local_response_norm(i: Inputs) -> Array:
    x, size = i["x"], int(i["size"])
    squares = np.pad(x**2, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum(squares[:, at : at + x.shape[1]] for at in range(size))
    return x / (either(i, "k", 1.0) + i["alpha"] / size * total) ** i["beta"]


def _matmul(i: Inputs) -> Array:
    x = np.swapaxes(i["x"], -1, -2) if i.get("transpose_x") else i["x"]
    return x @ (np.swapaxes(i["y"], -1, -2) if i.get("transpose_y") else i["y"])


def _softmax(i: Inputs) -> Array:
    axis = int(i["axis"])
    odds = np.exp(i["x"] - i["x"].max(axis, keepdims=True))
    return odds / odds.sum(axis, keepdims=True)


def _attention(i: Inputs) -> Array:
    odds = i["query"] @ np.swapaxes(i["key"], -1, -2) / np.sqrt(np.float32(i["query"].shape[-1]))
    mask = i.get("attn_mask")
    if mask is not None:
        odds = np.where(mask, odds, -np.inf) if mask.dtype == bool else odds + mask
    return _softmax({"x": odds, "axis": -1}) @ i["value"]


def _gelu(i: Inputs) -> Array:
    x = i["x"].astype(np.float64)
    if i["mode"] == "EXACT":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    if i["mode"] == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / (1 + np.exp(-1.702 * x))


def _reduced(function: Callable, i: Inputs, of: Callable[[Array], Array] = np.asarray) -> Array:
    return function(of(i["x"]), axes(i), keepdims=bool(i["keep_dims"]))


def _called(function: Callable, names: tuple[str, ...], i: Inputs) -> Array:
    return function(*(i[name] for name in names))


def _sigmoid(x: Array) -> Array:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


# what NumPy calls by the same name
_OF_ONE = ("square", "sqrt", "exp", "exp2", "tanh", "round", "sign", "abs", "sin", "cos", "ceil", "floor",
           "logical_not")  # fmt: skip
_OF_TWO = ("maximum", "minimum", "greater", "greater_equal", "less", "less_equal", "equal", "not_equal",
           "logical_and", "logical_or", "logical_xor")  # fmt: skip
_OF_AXES = ("mean", "sum", "min", "max", "prod")
OPERATORS: dict[str, Callable[[Inputs], Array | list[Array]]] = {
    **{name: partial(_called, getattr(np, name), ("x",)) for name in _OF_ONE},
    **{name: partial(_called, getattr(np, name), ("x", "y")) for name in _OF_TWO},
    "add": lambda i: i["x"] + i["y"],
    "sub": lambda i: i["x"] - i["y"],
    "mul": lambda i: i["x"] * i["y"],
    "real_div": lambda i: i["x"] / i["y"],
    "pow": lambda i: i["x"] ** i["y"],
    "rsqrt": lambda i: 1 / np.sqrt(i["x"] + either(i, "epsilon", 0)),
    "erf": lambda i: np.vectorize(math.erf)(i["x"]),
    "sigmoid": lambda i: _sigmoid(i["x"]),
    "sigmoid_hard": lambda i: np.clip(i["x"] * i["alpha"] + i["beta"], 0, 1),
    "silu": lambda i: i["x"] * _sigmoid(i["x"]),
    "gelu": _gelu,
    "relu": lambda i: np.maximum(i["x"], 0),
    "relu6": lambda i: np.clip(i["x"], 0, 6),
    "thresholded_relu": lambda i: np.where(i["x"] >= i["alpha"], i["x"], 0),
    "clamped_relu": lambda i: np.minimum(np.where(i["x"] >= 0, i["x"], i["x"] * i["alpha"]), i["beta"]),
    "threshold": lambda i: np.maximum(i["x"], i["alpha"]),
    "leaky_relu": lambda i: np.where(i["x"] >= 0, i["x"], i["x"] * i["alpha"]),
    "elu": lambda i: np.where(i["x"] >= 0, i["x"], i["alpha"] * np.expm1(np.minimum(i["x"], 0))),
    "prelu": lambda i: np.where(i["x"] >= 0, i["x"], i["x"] * i["alpha"].reshape(1, -1, *[1] * (i["x"].ndim - 2))),
    "clip": lambda i: np.clip(i["x"], i["alpha"], i["beta"]),
    "softmax": _softmax,
    "cast": lambda i: np.asarray(i["x"]),  # to the type that the program gives the result
    "log": lambda i: np.log(i["x"] + either(i, "epsilon", 0)),
    "select": lambda i: np.where(i["cond"], i["a"], i["b"]),
    "inverse": lambda i: 1 / (i["x"] + either(i, "epsilon", 0)),
    "softplus": lambda i: np.logaddexp(i["x"], 0),
    "softsign": lambda i: i["x"] / (1 + np.abs(i["x"])),
    "scaled_tanh": lambda i: i["alpha"] * np.tanh(i["beta"] * i["x"]),
    "linear_activation": lambda i: i["alpha"] * i["x"] + i["beta"],
    "identity": lambda i: i["x"],
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "scaled_dot_product_attention": _attention,
    "local_response_norm": _local_response_norm,
    "linear": lambda i: i["x"] @ i["weight"].T + (0 if i.get("bias") is None else i["bias"]),
    "matmul": _matmul,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "instance_norm": lambda i: _normalised(i, tuple(range(2, i["x"].ndim)), _channels(i["x"])),
    "l2_norm": lambda i: i["x"] / np.sqrt((i["x"] ** 2).sum((-3, -2, -1), keepdims=True) + i["epsilon"]),
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    **{f"reduce_{name}": partial(_reduced, getattr(np, name)) for name in _OF_AXES},
    "reduce_l1_norm": lambda i: _reduced(np.sum, i, np.abs),
    "reduce_l2_norm": lambda i: np.sqrt(_reduced(np.sum, i, np.square)),
    "reduce_log_sum_exp": lambda i: _reduced(np.logaddexp.reduce, i),
    "reduce_sum_square": lambda i: _reduced(np.sum, i, np.square),
    # what moves numbers and computes none
    "reshape": _reshape,
    "transpose": lambda i: np.transpose(i["x"], [int(axis) for axis in i["perm"]]),
    "squeeze": lambda i: np.squeeze(i["x"], tuple(axis for axis in axes(i) if i["x"].shape[axis] == 1)),
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
    "upsample_nearest_neighbor": mil_resizing.upsample_nearest,
    "upsample_bilinear": mil_resizing.upsample_bilinear,
    "resize_bilinear": mil_resizing.resize_bilinear,
    "affine": mil_resizing.affine,
    "resample": mil_resizing.resample,
}
