"""The execution receipt of an artifact on a runtime: one schema for every format."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from export.schemes import SCHEMES
from models import files, records
from models.errors import DataError
from models.records import Count, Share

INTEGER = ("dynamic_int8", "int8", "int8_io", "int16x8", "int4", "qat_int8")  # schemes that promise integer products

# Defects that are known and stay: a receipt lists them, `--all` does not fail on them.
DELEGATED, INTEGERS = "delegated_macs", "integer_weights"  # kinds of defects
EXPECTED = (
    ("*-tflite-int16x8@*", DELEGATED, "XNNPACK has no kernels for 16-bit activations"),
    ("*-executorch_portable-*@*", DELEGATED, "exported without a delegate, to show what that costs"),
    ("*-tflite-*int*@tflite_runtime", DELEGATED, "tflite-runtime 2.14 gives XNNPACK float32 layers only"),
    (
        "torch_*-tflite-float16@tensorflow",
        DELEGATED,
        "TensorFlow 2.21 keeps the layers of ai-edge-quantizer's float16 files, which LiteRT gives to XNNPACK",
    ),
)
LEAST_DELEGATED = 0.9  # of the MACs: a delegate that takes less is as good as none


@dataclass(frozen=True, kw_only=True)
class Defect:
    """What contradicts the scheme's name or the delegate's purpose: its kind, the share that is too small, a sentence."""

    kind: str
    share: Share
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator as the runtime executes it.

    `layer` is the layer of the source network whose products it takes, "" for what has no weights; `weights` is the
    dtype that the file stores, `activations` what comes in; `integer` tells whether the products are integers; `taken`
    whether the delegate runs it.
    """

    name: str
    weights: str = ""
    activations: str = ""
    integer: bool = False
    taken: bool = False
    layer: str = ""
    macs: Count = 0
    parameters: Count = 0


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of the file: a tensor, or what a section takes besides its tensors."""

    name: str
    section: str
    size_bytes: Count


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with weights of the source network; `macs` and `parameters` (biases left out) of one image.

    `shapes` are the weights' `compare.channel_shapes`, by which a layer is known again in a float file.
    """

    name: str
    macs: int
    parameters: int
    shapes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a format's module finds out; `delegate` is "" where the runtime has none."""

    operators: tuple[Operator, ...]
    parts: tuple[Part, ...]
    library: str
    delegate: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What an artifact does on a runtime, and what is wrong with that (`defects`).

    `key` digests the artifact, the runtime's pins and the code that looked: a receipt with another is made anew.
    """

    artifact: str
    key: str
    runtime: str
    versions: Mapping[str, str]
    library: str
    instruction_sets: tuple[str, ...]
    delegate: str
    operators: tuple[Operator, ...]
    parts: tuple[Part, ...]
    defects: tuple[Defect, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.artifact}@{self.runtime}"

    @property
    def delegated_nodes(self) -> float | None:
        """Share of the operators that the delegate runs; None where the runtime has no delegate."""
        return sum(o.taken for o in self.operators) / len(self.operators) if self.delegate else None

    @property
    def delegated_macs(self) -> float | None:
        """Share of the multiply-accumulates that the delegate runs; None where the runtime has no delegate."""
        return self._macs("taken") if self.delegate else None

    @property
    def integer_macs(self) -> float:
        """Share of the multiply-accumulates that are taken in integers."""
        return self._macs("integer")

    @property
    def unexpected(self) -> tuple[Defect, ...]:
        """The defects that no row of EXPECTED explains."""
        return tuple(d for d in self.defects if not explanation(self.id, d))

    def _macs(self, which: str) -> float:
        return sum(o.macs for o in self.operators if getattr(o, which)) / (sum(o.macs for o in self.operators) or 1)


def explanation(id: str, defect: Defect) -> str:
    """Return why a defect is expected of a cell, "" where it is not."""
    rows = (why for glob, kind, why in EXPECTED if kind == defect.kind and fnmatch.fnmatchcase(id, glob))
    return next(rows, "")


def with_layers(operators: tuple[Operator, ...], layers: tuple[Layer, ...]) -> tuple[Operator, ...]:
    """Return the operators with weights named after the source's layers: each is the next of as many parameters.

    An operator whose file does not tell their number is the next of all. Raises DataError where a layer or an operator
    is left over: then nothing is known of who computes what.
    """
    weighted = [o for o in operators if o.weights]
    left, found = list(layers), []
    for operator in operators:
        of = None
        if operator.weights:
            fitting = (layer for layer in left if operator.parameters in (0, layer.parameters))
            of = next(fitting, None)
            if of is None:
                break
            left.remove(of)
        found.append(replace(operator, layer=of.name, macs=of.macs, parameters=of.parameters) if of else operator)
    if left or len(found) < len(operators):
        msg = (
            f"the file computes {len(weighted)} layers with weights ({', '.join(o.name for o in weighted)}), "
            f"the network has {len(layers)}, and they do not fit each other: export it again, or teach "
            "device_tests/explain its operators."
        )
        raise DataError(msg)
    return tuple(found)


def defects(receipt: Receipt, scheme: str) -> tuple[Defect, ...]:
    """Return what contradicts the scheme's name or the delegate's purpose."""
    found = []
    share = receipt.delegated_macs
    if share is not None and share < LEAST_DELEGATED:
        taken = sum(o.taken for o in receipt.operators)
        text = f"{receipt.delegate} took {share:.0%} of the MACs ({taken} of {len(receipt.operators)} operators)"
        found.append(Defect(kind=DELEGATED, share=share, text=text))
    if scheme in INTEGER:
        weighted = [o for o in receipt.operators if o.weights]
        share = sum(o.parameters for o in weighted if o.integer) / (sum(o.parameters for o in weighted) or 1)
        if share < SCHEMES[scheme].min_share:
            wide = ", ".join(o.layer for o in weighted if not o.integer)
            text = f"{scheme} computes only {share:.0%} of the weights in integers; in float: {wide}"
            found.append(Defect(kind=INTEGERS, share=share, text=text))
    return tuple(found)


def as_json(receipt: Receipt) -> dict[str, Any]:
    """Return the receipt with its shares, for a file or a report."""
    shares = {name: getattr(receipt, name) for name in ("delegated_nodes", "delegated_macs", "integer_macs")}
    expected = {str(d): why for d in receipt.defects if (why := explanation(receipt.id, d))}
    return {"id": receipt.id, **shares, "expected_defects": expected, **asdict(receipt)}


def save(receipt: Receipt, file: Path) -> None:
    """Write a receipt whole."""
    files.write_json(file, as_json(receipt))


def read(file: Path) -> Receipt | None:
    """Read a receipt, None where there is none; raises DataError where it is broken."""
    return records.read(file, Receipt, what="receipt", remedy="Delete it and run: nox -s explain -- --all")
