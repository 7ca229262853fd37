"""Placements: the operators that a runtime executes for an artifact, and the parts of its file."""

import fnmatch
from typing import Any

from msgspec import structs

from device_tests.results.store import Store
from models.common.records import Count, Record, Share

# Accepted defects: a placement lists them, but `explain --all` does not fail on them.
DELEGATED, INTEGERS = "delegated_macs", "integer_weights"  # kinds of defects
EXPECTED = (
    ("*-tflite-int16x8@*", DELEGATED, "XNNPACK has no kernels for 16-bit activations"),
    ("*-executorch_portable-*@*", DELEGATED, "exported without a delegate, to show what that costs"),
    ("*-tflite-*int*@tflite_runtime", DELEGATED, "tflite-runtime 2.14 gives XNNPACK float32 layers only"),
    (
        "torch_*-tflite-float16@tensorflow",
        DELEGATED,
        "TensorFlow 2.21 keeps the layers of litert-quantizer's float16 files, which LiteRT gives to XNNPACK",
    ),
    ("*-coreml-*@*", INTEGERS, "Core ML's compressed weights are widened before they are multiplied"),
    ("*-openvino-dynamic_int8@*", INTEGERS, "the format stores 8-bit weights; OpenVINO multiplies in float32"),
    ("*-openvino-int4@*", INTEGERS, "the format stores 4-bit weights; OpenVINO multiplies in float32"),
    ("*-onnx-*int*@openvino", INTEGERS, "OpenVINO computes only calibrated 8-bit layers in integers"),
)


class Defect(Record, kw_only=True):
    """A contradiction to the scheme's name or the delegate's purpose: its kind, the share that is too small, a text."""

    kind: str
    share: Share
    text: str

    def __str__(self) -> str:
        return self.text


class Operator(Record, kw_only=True):
    """One operator as the runtime executes it.

    `layer` is the source network's layer that it computes, "" without weights. `weights` is the dtype in the file,
    `activations` the dtype of its input. `channels` is the number of input channels that each product adds up, 0 where
    it is unknown. `integer` tells whether the products are integers, `taken` whether the delegate runs it.
    """

    name: str
    weights: str = ""
    activations: str = ""
    integer: bool = False
    taken: bool = False
    layer: str = ""
    macs: Count = 0
    parameters: Count = 0
    channels: Count = 0


class Part(Record, kw_only=True):
    """Bytes of the file: a tensor, or the rest of a section."""

    name: str
    section: str
    size_bytes: Count


class Placement(Record, kw_only=True):
    """What a runtime executes for an artifact, and what is wrong with that (`defects`).

    `key` is a digest of the artifact, the runtime's pins and our code: a placement with another key is stale.
    """

    artifact: str
    key: str
    runtime: str
    versions: dict[str, str]
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
        """Share of the multiply-accumulates that are computed in integers."""
        return self._macs("integer")

    @property
    def unexpected(self) -> tuple[Defect, ...]:
        """The defects that no row of EXPECTED explains."""
        return tuple(d for d in self.defects if not why_expected(self.id, d))

    def _macs(self, which: str) -> float:
        return sum(o.macs for o in self.operators if getattr(o, which)) / (sum(o.macs for o in self.operators) or 1)


def why_expected(id: str, defect: Defect) -> str:
    """Return why a defect is expected of a cell, "" where it is not."""
    rows = (why for glob, kind, why in EXPECTED if kind == defect.kind and fnmatch.fnmatchcase(id, glob))
    return next(rows, "")


def as_json(placement: Placement) -> dict[str, Any]:
    """Return the placement with its shares and the expected defects, for a file."""
    shares = {name: getattr(placement, name) for name in ("delegated_nodes", "delegated_macs", "integer_macs")}
    expected = {str(d): why for d in placement.defects if (why := why_expected(placement.id, d))}
    return {"id": placement.id, **shares, "expected_defects": expected, **structs.asdict(placement)}


PLACEMENTS = Store(
    kind=Placement,
    folder="placements",
    what="placement report",
    content=as_json,
    remedy="Delete it and run: nox -s explain -- --all",
)
path, save, read = PLACEMENTS.path, PLACEMENTS.save, PLACEMENTS.read
