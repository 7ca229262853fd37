"""Artifacts and the sidecar JSON beside each: a listing of the folder is the manifest."""

from pathlib import Path
from typing import Literal

from export.contract import Tensor
from export.schemes import SCHEMES
from models import suggested_commands
from models.common import files, records
from models.common.errors import DataError
from models.common.records import Count, Magnitude, Record, Sha256, Share
from models.images import Layout
from models.own.settings import Options
from models.reference import Reference

Outcome = Literal["ok", "unsupported", "export_failed"]


class Dataset(Record, kw_only=True):
    """Which images something was judged on; `sha256` is of their pixels and labels, `images` how many there are."""

    name: str = ""
    split: str = ""
    sha256: Sha256 = ""
    images: Count = 0


class Golden(Record, kw_only=True):
    """An evaluation image with the artifact's own logits [K].

    Its pixels [H,W] or [H,W,C] are in base64: bytes in `image_u8`, or little-endian floats in `image_f32` where the
    evaluation set holds floats.
    """

    index: Count = 0
    label: Count = 0
    image_u8: str = ""
    image_f32: str = ""
    logits: tuple[float, ...]


class Rewrite(Record, kw_only=True):
    """An exact rewrite (export/rewrites/) of the converted file: `operators` are the outputs' names of what it changed.

    `difference` is the largest difference of a logit that it made on so many `images`, 0 for integer schemes; `bytes` are
    what the file grew by, below 0 where it shrank.
    """

    name: str
    operators: tuple[str, ...]
    images: Count
    difference: Magnitude
    bytes: int


class Artifact(Record, kw_only=True):
    """What a recipe yielded. Where `outcome` is not `ok` there is no file, and `reason` says why.

    `weights` counts parameters by stored dtype; `golden` are a few inputs with the artifact's own logits;
    `reproducible` is True, or the reason why a second export gives other bytes; `key` digests everything that the
    artifact was made from. `layout` is the order of one image's axes in the input; `labels` are the classes' names.
    `covered_macs` is the share of the multiply-accumulates in layers of the scheme's dtype, None where the file's layers
    are not the network's products; `options` are those that the user gave the scheme. `rewrites` are in the order in which
    they were applied; `weights` counts without the zeros that they put between.
    """

    id: str
    model: str
    framework: str
    format: str
    scheme: str
    key: str
    outcome: Outcome = "ok"
    reason: str = ""
    seconds: Magnitude = 0.0
    file: str = ""
    sha256: Sha256 = ""
    size_bytes: Count = 0
    compressed_bytes: Count = 0
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    layout: Layout = "hwc"
    weights: dict[str, Count] = {}
    covered_macs: Share | None = None
    options: Options = Options()
    rewrites: tuple[Rewrite, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: Count = 0
    macs: Count = 0
    labels: tuple[str, ...] = ()
    golden: tuple[Golden, ...] = ()
    dataset: Dataset = Dataset()
    checkpoint_sha256: Sha256 = ""
    tools: dict[str, str] = {}
    reproducible: bool | str = True

    @property
    def batch(self) -> int:
        """How many images it takes at once, -1 for any number."""
        return self.inputs[0].shape[0] if self.inputs else 1

    @property
    def covered_share(self) -> float | None:
        """Share of the stored weights that are in the scheme's dtype; None where the file tells no weights."""
        total = sum(self.weights.values())
        return self.weights.get(SCHEMES[self.scheme].weights, 0) / total if total and self.scheme in SCHEMES else None

    @property
    def impossible(self) -> str:
        """Say what contradicts itself, "" where nothing does."""
        if self.id != f"{self.model}-{self.format}-{self.scheme}":
            return f"the id {self.id!r} is not {self.model}-{self.format}-{self.scheme}"
        # a sidecar may come from elsewhere: its file must lie beside it, whatever it says
        if self.file != Path(self.file).name or self.file in (".", ".."):
            return f"the file {self.file!r} does not lie beside it"
        whole = self.file and self.sha256 and self.size_bytes and self.inputs and self.outputs
        if self.outcome == "ok" and not whole:
            return "it is ok without a file, its checksum, its size, an input or an output"
        return ""


def _again(id: str) -> str:
    return suggested_commands.nox("export", f"--only {id}")


def sidecar_path(folder: Path, id: str) -> Path:
    """Return where the sidecar of an artifact lies."""
    return folder / f"{id}.json"


def save(artifact: Artifact, folder: Path) -> None:
    """Write the sidecar whole."""
    records.write(sidecar_path(folder, artifact.id), artifact)


def read(sidecar: Path) -> Artifact:
    """Read one sidecar; raises DataError where it is missing, broken or names a file outside its folder."""
    again = f"Make it again with: {_again(sidecar.stem)}"
    artifact = records.read(sidecar, Artifact, what="sidecar", remedy=again)
    if artifact is None:
        raise DataError(f"{sidecar} is not there. Make it with: {_again(sidecar.stem)}")
    if artifact.id != sidecar.stem:
        raise DataError(f"{sidecar} is the sidecar of {artifact.id}. {again}")
    if artifact.impossible:
        raise DataError(f"{sidecar} is no sidecar ({artifact.impossible}). {again}")
    return artifact


def load(folder: Path) -> tuple[Artifact, ...]:
    """Return every artifact of a folder, sorted by id; raises DataError for a broken sidecar."""
    return tuple(read(sidecar) for sidecar in sorted(folder.glob("[!.]*.json")))


def check(artifact: Artifact, folder: Path) -> Path:
    """Return the artifact's file; raises DataError unless it is there and has the sidecar's checksum and size."""
    if artifact.outcome != "ok":  # there is no file, and its folder must not pass for one
        raise DataError(f"{artifact.id} was not made ({artifact.outcome}): {artifact.reason}")
    file, again = folder / artifact.file, f"Make it again with: {_again(artifact.id)}"
    if not file.exists():
        raise DataError(f"{file} is not there, though its sidecar is. {again}")
    if not (file.is_file() or file.is_dir()):  # to read a FIFO would wait for ever
        raise DataError(f"{file} is neither a file nor a folder. {again}")
    sha256, expected = files.sha256(file), artifact.sha256
    if sha256 != expected:
        differ = f"SHA-256 {sha256[:12]}..., expected {expected[:12]}..."
        raise DataError(f"{file} does not match its sidecar: {differ} {again}")
    size_bytes = files.size_bytes(file)
    if size_bytes != artifact.size_bytes:
        raise DataError(f"{file} has {size_bytes:,} bytes, its sidecar says {artifact.size_bytes:,}. {again}")
    return file


def is_of(artifact: Artifact, reference: Reference) -> bool:
    """Tell whether an artifact comes from the checkpoint and data that the reference is of."""
    ours = (artifact.checkpoint_sha256, artifact.dataset.sha256)
    return ours == (reference.checkpoint_sha256, reference.dataset_sha256)


def is_current(folder: Path, id: str, key: str) -> bool:
    """Tell whether the artifact was made from exactly these inputs and its file is whole; failures are tried again."""
    try:
        artifact = read(sidecar_path(folder, id))
        if artifact.key != key or artifact.outcome == "export_failed":
            return False
        if artifact.outcome == "ok" and not artifact.golden:
            return False
        return artifact.outcome == "unsupported" or bool(check(artifact, folder))
    except DataError:
        return False
