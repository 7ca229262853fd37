"""What a module of export/formats provides, and what it hands back."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from msgspec import Meta

from export.source import Source
from models.common.records import Record

Size = Annotated[int, Meta(ge=-1, le=2**31)]
Scale = Annotated[float, Meta(gt=0)]


class Tensor(Record, kw_only=True):
    """One input or output of an artifact; `scale` and `zero_point` are set where it is quantized.

    A size of -1 in `shape` stands for any.
    """

    name: str
    shape: tuple[Size, ...]
    dtype: str
    scale: Scale | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        if (self.scale is None) != (self.zero_point is None):
            raise ValueError(f"the tensor {self.name!r} has only one of scale and zero point")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operator with weights: `shape` and `dtype` of what is stored, `operator` in the format's own word.

    The first axis of `shape` holds the outputs, or the last one where the first is 1, as in depthwise convolutions.
    `quantizable` is true where this format's static toolchain quantizes such operators, so that float is a failure.
    """

    operator: str
    shape: tuple[int, ...]
    dtype: str
    quantizable: bool = True

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def outputs(self) -> int:
        """Number of output channels: a scale and a bias for each at most."""
        return self.shape[-1] if self.shape[0] == 1 else self.shape[0]

    def __str__(self) -> str:
        return f"{self.operator} {'x'.join(map(str, self.shape))}".strip()


# of a weight in each dtype; tensors of other dtypes are no weights
BITS = {"float64": 64, "float32": 32, "float16": 16, "int8": 8, "uint8": 8, "int4": 4,
        "palette6": 6, "palette4": 4}  # fmt: skip


def tables(tensors: Iterable[tuple[str, tuple[int, ...], int]], layers: Iterable[Layer]) -> int:
    """Return how many bytes of stored tensors (dtype, shape, bytes) can be no weights, no copies of them and no biases.

    These are indices and masks, and floats of another number than any layer's weights; vectors may be biases or scales.
    """
    weights = {layer.weights for layer in layers}

    def is_table(dtype: str, shape: tuple[int, ...]) -> bool:
        values = math.prod(shape)
        is_vector = values <= max(shape, default=1)
        return not is_vector and values not in weights if dtype in BITS else not (is_vector and dtype == "int32")

    return sum(size for dtype, shape, size in tensors if is_table(dtype, shape))


def weights_by_dtype(layers: Iterable[Layer]) -> Counter[str]:
    """Return how many weights the layers store in each dtype."""
    counts: Counter[str] = Counter()
    for layer in layers:
        counts[layer.dtype] += layer.weights
    return counts


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is inside a file, read from the file itself.

    `weights` counts stored parameters by dtype (`float32`, `float16`, `int8`, `int4`, ...): biases and quantization
    constants (scales, zero points) are left out. `layers` are the operators that use them. `constants` are the bytes
    of all stored tensors, `tables` of those among them that can be no weights, such as the indices that an adaptive
    pooling was made into. `parts` is the number of operators (or of the archive's records), which the rest of the file
    grows with. `notes` say what a reader must know, such as layers that stayed float. `inputs` and `outputs` are empty
    where the file does not tell them: then they are the source's.
    """

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    weights: Mapping[str, int]
    layers: tuple[Layer, ...] = ()
    constants: int = 0
    tables: int = 0
    parts: int = 0
    notes: tuple[str, ...] = ()


EVERY = "every scheme"


def options(format_module: Any, scheme: str) -> tuple[str, ...]:
    """Return the names of the options that a format understands for a scheme."""
    table = getattr(format_module, "options", {})
    return (*table.get(EVERY, ()), *table.get(scheme, ()))


class Format(Protocol):
    """A module of export/formats. Its top level imports no framework: that happens inside the functions.

    `tools` are the distributions, by framework, whose versions decide the bytes; the sidecar records them. It may have
    `options`, the names of the options of edgewise.toml that it understands, by scheme, those of all schemes under `EVERY`,
    and `family`, a name, with `{framework}` in it, that it has in common with formats that share imports and conversions
    with it. It may have `rewrites`, names of export/rewrites/ in the order in which they are tried, and
    `rewritten(content, name)`, which returns a file's content after a rewrite and the names of the operators that it changed.
    """

    suffix: str
    tools: Mapping[str, tuple[str, ...]]

    def convert(self, source: Source, scheme: str, target: Path) -> None:
        """Write the artifact to `target` (a file, or a folder); raises Unsupported with the toolchain's own reason."""

    def inspect(self, path: Path) -> Contents:
        """Return what is inside the file."""

    def run(self, path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
        """Answer so many images at once: native input [N,...] in the input's dtype -> native output [N,K].

        `batch` is asked for only of a file whose input's first size is -1 or that number.
        """
