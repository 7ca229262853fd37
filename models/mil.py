"""Evaluates the MIL program of a Core ML package with NumPy: the arithmetic of the file, not Apple's runtime.

Each operator (mil_operators.py) computes in float32; its result is rounded to the type that the program states. An
unknown operator raises Unsupported.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.common.errors import Unsupported
from models.mil_operators import OPERATORS, Array, Inputs

FOLDER = Path("Data") / "com.apple.CoreML"
MODEL, WEIGHTS = FOLDER / "model.mlmodel", FOLDER / "weights"


def operations(path: Path) -> list[Any]:
    """Return the operations of a package's only function, in coremltools' own type, in the order of their execution."""
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = coremltools.utils.load_spec(str(path))
    version = spec.specificationVersion
    program = load(model_spec=spec, specification_version=version, file_weights_dir=str(path / WEIGHTS))
    return list(program.functions["main"].operations)


# inputs that change no result: names, types that the result states itself, padding where another says that there is none
HARMLESS = {"dtype", "validate_indices", "pad", "pad_type", "num_splits", "constant_val"}


class _Inputs(dict):
    """The inputs of an operation. It records which were read, because an input that is ignored could change the result."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One operation: `constants` are its constant inputs, in float32, `variables` the names of the others.

    `results` are the names, types and shapes of its results.
    """

    kind: str
    constants: Inputs
    variables: dict[str, str | list[str]]
    results: tuple[tuple[str, Any, tuple[int, ...]], ...]

    def run(self, values: dict[str, Array]) -> dict[str, Array]:
        """Return the results in the types that the program states; another shape than it states is a defect of this file."""
        given = _Inputs(self.constants)
        for key, name in self.variables.items():
            given[key] = [_wide(values[n]) for n in name] if isinstance(name, list) else _wide(values[name])
        output = OPERATORS[self.kind](given)
        if unread := given.keys() - given.read - HARMLESS:
            inputs = ", ".join(sorted(unread))
            raise Unsupported(f"the evaluator of Core ML's programs knows no operator {self.kind!r} with {inputs}")
        results = output if isinstance(output, list) else [output]
        for result, (name, _, shape) in zip(results, self.results, strict=True):
            if result.shape != shape:
                raise ValueError(f"{self.kind} {name} has the shape {result.shape}, the program says {shape}")
        return {name: result.astype(dtype) for result, (name, dtype, _) in zip(results, self.results, strict=True)}


class Program:
    """A program with its weights decompressed; raises Unsupported for an unknown operator."""

    def __init__(self, path: Path) -> None:
        constants: dict[str, Any] = {}
        self._steps: list[_Step] = []
        for op in operations(path):
            name = op.outputs[0].name
            if op.op_type == "const":
                constants[name] = _wide(op.outputs[0].val)
            elif op.op_type.startswith("constexpr_"):
                constants[name] = _wide(op.materialized_val_inference())
            elif op.op_type not in OPERATORS:
                raise Unsupported(f"the evaluator of Core ML's programs knows no operator {op.op_type!r} ({name})")
            else:
                self._steps.append(_step(op, constants))
        self._constants = constants

    def evaluate(self, image: Array) -> Array:
        """Return the output [1,K] for one image in the input's type."""
        values = self._constants | {"image": image}  # a concatenation may have constants among its inputs
        for step in self._steps:
            values |= step.run(values)
        return values[self._steps[-1].results[0][0]]


def _step(op: Any, values: dict[str, Any]) -> _Step:
    from coremltools.converters.mil.mil import types

    constants, variables = {}, {}
    for key, var in op.inputs.items():
        several = isinstance(var, list | tuple)
        if var is None:
            continue
        if several and not all(one.name in values for one in var):  # tensors that are concatenated, say
            variables[key] = [one.name for one in var]
        elif several:
            constants[key] = [values[one.name] for one in var]
        elif var.name in values:
            constants[key] = values[var.name]
        else:
            variables[key] = var.name
    results = tuple((out.name, types.nptype_from_builtin(out.dtype), tuple(map(int, out.shape))) for out in op.outputs)
    return _Step(kind=op.op_type, constants=constants, variables=variables, results=results)


def _wide(value: Any) -> Any:
    """Return half precision as float32, in which operators compute; other values stay as they are."""
    half = isinstance(value, np.ndarray | np.generic) and value.dtype == np.float16
    return value.astype(np.float32) if half else value
