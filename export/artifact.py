"""Artifacts and the sidecar JSON beside each: a listing of the folder is the manifest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from export.contract import Tensor
from models import files
from models.errors import DataError

Outcome = Literal["ok", "unsupported", "export_failed"]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a recipe yielded. Where `outcome` is not `ok` there is no file, and `reason` says why.

    `weights` counts parameters by stored dtype; `golden` holds a few inputs (base64 of 784 grey bytes) with the
    artifact's own logits; `reproducible` is True, or the reason why a second export gives other bytes; `key` digests
    everything that the artifact was made from.
    """

    id: str
    model: str
    framework: str
    format: str
    scheme: str
    key: str
    outcome: Outcome = "ok"
    reason: str = ""
    seconds: float = 0.0
    file: str = ""
    sha256: str = ""
    size_bytes: int = 0
    compressed_bytes: int = 0
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    weights: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parameters: int = 0
    macs: int = 0
    labels: tuple[str, ...] = ()
    golden: tuple[dict[str, Any], ...] = ()
    dataset: dict[str, Any] = field(default_factory=dict)
    checkpoint_sha256: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    reproducible: bool | str = True


def sidecar_path(folder: Path, id: str) -> Path:
    """Return where the sidecar of an artifact lies."""
    return folder / f"{id}.json"


def save(artifact: Artifact, folder: Path) -> None:
    """Write the sidecar whole."""
    files.write_json(sidecar_path(folder, artifact.id), asdict(artifact))


def read(sidecar: Path) -> Artifact:
    """Read one sidecar; raises DataError where it is missing, broken or names a file outside its folder."""
    try:
        content = json.loads(sidecar.read_text())
        for side in ("inputs", "outputs"):
            content[side] = tuple(Tensor(**{**t, "shape": tuple(t["shape"])}) for t in content[side])
        for name in ("notes", "labels", "golden"):
            content[name] = tuple(content[name])
        artifact = Artifact(**{f.name: content[f.name] for f in fields(Artifact)})
    except FileNotFoundError as error:
        msg = f"{sidecar} is not there. Make it with: nox -s export"
        raise DataError(msg) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{sidecar} is no sidecar ({type(error).__name__}: {error}). Make it again with: nox -s export"
        raise DataError(msg) from error
    # A sidecar may come from elsewhere: its file must lie beside it, whatever it says.
    if artifact.id != sidecar.stem or artifact.file not in ("", Path(artifact.file).name):
        msg = (
            f"{sidecar} names {artifact.id!r} and {artifact.file!r}, which are not its own. Delete it and export again."
        )
        raise DataError(msg)
    return artifact


def load(folder: Path) -> tuple[Artifact, ...]:
    """Return every artifact of a folder, sorted by id; raises DataError for a broken sidecar."""
    return tuple(read(sidecar) for sidecar in sorted(folder.glob("[!.]*.json")))


def check(artifact: Artifact, folder: Path) -> Path:
    """Return the artifact's file; raises DataError unless it is there and has the sidecar's checksum."""
    file = folder / artifact.file
    if not file.exists():
        msg = f"{file} is not there, though its sidecar is. Make it again with: nox -s export -- --only {artifact.id}"
        raise DataError(msg)
    found = files.sha256(file)
    if found != artifact.sha256:
        msg = (
            f"{file} does not match its sidecar: SHA-256 {found[:12]}..., expected {artifact.sha256[:12]}... "
            f"Make it again with: nox -s export -- --only {artifact.id}"
        )
        raise DataError(msg)
    return file


def is_current(folder: Path, id: str, key: str) -> bool:
    """Tell whether the artifact was made from exactly these inputs and its file is whole; failures are tried again."""
    try:
        artifact = read(sidecar_path(folder, id))
        if artifact.key != key or artifact.outcome == "export_failed":
            return False
        return artifact.outcome == "unsupported" or bool(check(artifact, folder))
    except DataError:
        return False
