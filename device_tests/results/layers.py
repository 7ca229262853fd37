"""The error of an artifact's layers against the float32 twin of the same format (measure/explain/layers.py)."""

from operator import attrgetter

from msgspec import structs

from device_tests.results.store import Store
from models.common.records import Magnitude, Positive, Record

BAD_SQNR_DB = 10.0  # below this the noise has more than a tenth of the signal's energy

_BARE = "this is the float source itself: there is no error to find"
NOT_SHOWN = {
    "ort": "onnxruntime's debugging API takes ONNX models only; this file was made from the .onnx of the same scheme: "
    "explain that one",
    "torchscript_lite": "the lite interpreter shows no values between the operators; the .pt of the same scheme holds "
    "the same graph: explain that one",
    "eager": _BARE,
    "savedmodel": _BARE,
}


class LayerError(Record, kw_only=True):
    """A layer's outputs against the float32 twin's: largest difference, cosine, and signal to noise in decibels.

    `own_sqnr_db` is of the error that the layer itself adds, from the inputs that it had in the file. Both decibels are
    None where nothing differs. Where `paired` is false there was nothing to compare with, and no figure means anything.
    """

    layer: str
    sqnr_db: float | None
    max_abs: Magnitude
    cosine: float
    own_sqnr_db: float | None = None
    paired: bool = True

    @property
    def bad(self) -> bool:
        return self.paired and self.own_sqnr_db is not None and self.own_sqnr_db < BAD_SQNR_DB


class Layers(Record, kw_only=True):
    """The errors of an artifact's layers in the order of execution, and the tool that gave the layers' outputs.

    Layers that fuse into one are one row, and an operator without weights has a row where it is bad. The last row,
    `answer`, is the runtime's own output: its whole error is against the float source, its own error against the end of
    the compared graph. `key` is a digest of their inputs, as in a placement.
    """

    artifact: str
    key: str
    images: Positive
    tool: str
    errors: tuple[LayerError, ...]

    @property
    def first_bad(self) -> str:
        """The first layer whose own error leaves less than BAD_SQNR_DB, "" where there is none."""
        return next((e.layer for e in self.errors if e.bad), "")


LAYERS = Store(
    kind=Layers,
    folder="layers",
    what="list of layers",
    remedy="Delete it and run: nox -s explain -- --all --layers {id}",
    id=attrgetter("artifact"),
    content=lambda layers: {**structs.asdict(layers), "first_bad": layers.first_bad},
)
path, save, read = LAYERS.path, LAYERS.save, LAYERS.read
