"""Evaluates the MIL program of a Core ML package with NumPy: the arithmetic of the file, not Apple's runtime.

Each operator computes in float32 and rounds its result to the type that the program gives it; one that is not known
refuses. https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html says what each does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import Unsupported

FOLDER = Path("Data") / "com.apple.CoreML"
MODEL, WEIGHTS = FOLDER / "model.mlmodel", FOLDER / "weights"

Array = np.ndarray
Inputs = dict[str, Any]


def operations(path: Path) -> list[Any]:
    """Return the operations of a package's only function, in coremltools' own type, in the order of their execution."""
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = coremltools.utils.load_spec(str(path))
    version = spec.specificationVersion
    program = load(model_spec=spec, specification_version=version, file_weights_dir=str(path / WEIGHTS))
    return list(program.functions["main"].operations)


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One operation: `constants` are its known inputs, in float32, `variables` the names of the others."""

    kind: str
    name: str
    constants: Inputs
    variables: dict[str, str | list[str]]
    dtype: Any
    shape: tuple[int, ...]

    def run(self, values: dict[str, Array]) -> Array:
        """Return the result in the type that the program states; another shape than it states is a defect of this file."""
        given = dict(self.constants)
        for key, name in self.variables.items():
            given[key] = [_wide(values[n]) for n in name] if isinstance(name, list) else _wide(values[name])
        result = OPERATORS[self.kind](given)
        if result.shape != self.shape:
            msg = f"{self.kind} {self.name} has the shape {result.shape}, the program says {self.shape}"
            raise ValueError(msg)
        return result.astype(self.dtype)


class Program:
    """A program with its weights decompressed; raises Unsupported for an operator that is not known here."""

    def __init__(self, path: Path) -> None:
        known: dict[str, Any] = {}
        self._steps: list[_Step] = []
        for op in operations(path):
            name = op.outputs[0].name
            if op.op_type == "const":
                known[name] = _wide(op.outputs[0].val)
            elif op.op_type.startswith("constexpr_"):
                known[name] = _wide(op.materialized_val_inference())
            elif op.op_type not in OPERATORS:
                msg = f"the evaluator of Core ML's programs knows no operator {op.op_type!r} ({name})"
                raise Unsupported(msg)
            else:
                self._steps.append(_step(op, known))

    def answer(self, image: Array) -> Array:
        """Return the output [1,K] for one image in the input's type."""
        values = {"image": image}
        for step in self._steps:
            values[step.name] = result = step.run(values)
        return result


def _step(op: Any, known: dict[str, Any]) -> _Step:
    from coremltools.converters.mil.mil import types

    constants, variables = {}, {}
    for key, var in op.inputs.items():
        several = isinstance(var, list | tuple)
        if var is None:
            continue
        if several and not all(one.name in known for one in var):  # tensors that are concatenated, say
            variables[key] = [one.name for one in var]
        elif several:
            constants[key] = [known[one.name] for one in var]
        elif var.name in known:
            constants[key] = known[var.name]
        else:
            variables[key] = var.name
    out = op.outputs[0]
    return _Step(kind=op.op_type, name=out.name, constants=constants, variables=variables,
                 dtype=types.nptype_from_builtin(out.dtype), shape=tuple(int(size) for size in out.shape))  # fmt: skip


def _wide(value: Any) -> Any:
    """Return half precision as float32, which holds it exactly and is what is computed in."""
    half = isinstance(value, np.ndarray | np.generic) and value.dtype == np.float16
    return value.astype(np.float32) if half else value


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
    strides, dilations = (
        [1] * len(kernel) if i.get(name) is None else [int(step) for step in i[name]]
        for name in ("strides", "dilations")
    )
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
    steps = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    return windows[steps]


def _conv(i: Inputs) -> Array:
    x, weight, groups = i["x"], i["weight"], int(1 if i.get("groups") is None else i["groups"])
    windows = _windows(x, i, list(weight.shape[2:]), 0.0)
    n, _, *rest = windows.shape
    out = rest[: x.ndim - 2]
    answers = []
    for windows_of, weights_of in zip(np.split(windows, groups, 1), np.split(weight, groups, 0), strict=True):
        columns = np.moveaxis(windows_of, 1, x.ndim - 1).reshape(n * math.prod(out), -1)
        answers.append((columns @ weights_of.reshape(len(weights_of), -1).T).reshape(n, *out, -1))
    result = np.moveaxis(np.concatenate(answers, -1), -1, 1)
    return result if i.get("bias") is None else result + i["bias"].reshape(1, -1, *[1] * (x.ndim - 2))


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
    shape = (1, -1, *[1] * (i["x"].ndim - 2))
    scale = 1 / np.sqrt(i["variance"] + i["epsilon"])
    scale = scale if i.get("gamma") is None else scale * i["gamma"]
    result = (i["x"] - i["mean"].reshape(shape)) * scale.reshape(shape)
    return result if i.get("beta") is None else result + i["beta"].reshape(shape)


def _layer_norm(i: Inputs) -> Array:
    x, axes = i["x"], tuple(int(axis) for axis in i["axes"])
    centred = x - x.mean(axes, keepdims=True)
    result = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + i["epsilon"])
    shape = [x.shape[axis] if axis in [a % x.ndim for a in axes] else 1 for axis in range(x.ndim)]
    result = result if i.get("gamma") is None else result * i["gamma"].reshape(shape)
    return result if i.get("beta") is None else result + i["beta"].reshape(shape)


def _reshape(i: Inputs) -> Array:
    shape = [int(size) for size in i["shape"]]
    return i["x"].reshape([i["x"].shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def _matmul(i: Inputs) -> Array:
    x = np.swapaxes(i["x"], -1, -2) if i.get("transpose_x") else i["x"]
    return x @ (np.swapaxes(i["y"], -1, -2) if i.get("transpose_y") else i["y"])


def _softmax(i: Inputs) -> Array:
    axis = int(i["axis"])
    odds = np.exp(i["x"] - i["x"].max(axis, keepdims=True))
    return odds / odds.sum(axis, keepdims=True)


def _gelu(i: Inputs) -> Array:
    x = i["x"].astype(np.float64)
    if i["mode"] == "EXACT":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    if i["mode"] == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / (1 + np.exp(-1.702 * x))


def _axes(i: Inputs) -> tuple[int, ...]:
    return tuple(range(i["x"].ndim)) if i.get("axes") is None else tuple(int(axis) for axis in i["axes"])


def _sigmoid(x: Array) -> Array:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


OPERATORS: dict[str, Callable[[Inputs], Array]] = {
    "add": lambda i: i["x"] + i["y"],
    "sub": lambda i: i["x"] - i["y"],
    "mul": lambda i: i["x"] * i["y"],
    "real_div": lambda i: i["x"] / i["y"],
    "maximum": lambda i: np.maximum(i["x"], i["y"]),
    "minimum": lambda i: np.minimum(i["x"], i["y"]),
    "pow": lambda i: i["x"] ** i["y"],
    "square": lambda i: i["x"] ** 2,
    "sqrt": lambda i: np.sqrt(i["x"]),
    "rsqrt": lambda i: 1 / np.sqrt(i["x"] + (0 if i.get("epsilon") is None else i["epsilon"])),
    "exp": lambda i: np.exp(i["x"]),
    "erf": lambda i: np.vectorize(math.erf)(i["x"]),
    "tanh": lambda i: np.tanh(i["x"]),
    "sigmoid": lambda i: _sigmoid(i["x"]),
    "sigmoid_hard": lambda i: np.clip(i["x"] * i["alpha"] + i["beta"], 0, 1),
    "silu": lambda i: i["x"] * _sigmoid(i["x"]),
    "gelu": _gelu,
    "relu": lambda i: np.maximum(i["x"], 0),
    "relu6": lambda i: np.clip(i["x"], 0, 6),
    "thresholded_relu": lambda i: np.where(i["x"] >= i["alpha"], i["x"], 0),
    "leaky_relu": lambda i: np.where(i["x"] >= 0, i["x"], i["x"] * i["alpha"]),
    "elu": lambda i: np.where(i["x"] >= 0, i["x"], i["alpha"] * np.expm1(np.minimum(i["x"], 0))),
    "prelu": lambda i: np.where(i["x"] >= 0, i["x"], i["x"] * i["alpha"].reshape(1, -1, *[1] * (i["x"].ndim - 2))),
    "clip": lambda i: np.clip(i["x"], i["alpha"], i["beta"]),
    "softmax": _softmax,
    "cast": lambda i: np.asarray(i["x"]),  # to the type that the program gives the result
    "identity": lambda i: i["x"],
    "conv": _conv,
    "linear": lambda i: i["x"] @ i["weight"].T + (0 if i.get("bias") is None else i["bias"]),
    "matmul": _matmul,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "reduce_mean": lambda i: i["x"].mean(_axes(i), keepdims=bool(i["keep_dims"])),
    "reduce_sum": lambda i: i["x"].sum(_axes(i), keepdims=bool(i["keep_dims"])),
    "reduce_max": lambda i: i["x"].max(_axes(i), keepdims=bool(i["keep_dims"])),
    "reshape": _reshape,
    "transpose": lambda i: np.transpose(i["x"], [int(axis) for axis in i["perm"]]),
    "squeeze": lambda i: np.squeeze(i["x"], tuple(int(axis) for axis in i["axes"])),
    "expand_dims": lambda i: np.expand_dims(i["x"], tuple(int(axis) for axis in i["axes"])),
    "concat": lambda i: np.concatenate(i["values"], int(i["axis"])),
}
