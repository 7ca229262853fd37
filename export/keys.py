"""What references and artifacts are made from: named inputs, each with its digest. Another digest makes them stale."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from export import isolated
from export.formats import FORMATS
from export.isolated import ncnn_tools
from export.recipe import Recipe
from export.schemes import SCHEMES
from models import deployed, networks
from models.common import files, imports
from models.common.environments import ROOT

PINS = "constraints/export.txt"


def reference_inputs(model: str, *, checkpoint_sha256: str, dataset_sha256: str, root: Path = ROOT) -> dict[str, str]:
    """Return what a model's reference logits are computed from: code of the network and before it, pins, weights, data."""
    network = deployed.get(model)
    zoo = () if networks.folder() else (f"models.zoo.{model}",)
    code = ("export.references", *zoo, f"models.frameworks.{network.framework}", *network.modules)
    return {
        "checkpoint": checkpoint_sha256,
        "data set": dataset_sha256,
        PINS: files.sha256(root / PINS),
        **_sources(code, root),
        **{f"{file.name} beside {model}": files.sha256(file) for file in network.code()},
    }


def artifact_inputs(
    recipe: Recipe, reference: Mapping[str, str], *, rewrites: bool = True, root: Path = ROOT
) -> dict[str, str]:
    """Return what an artifact is made from: all that its reference is, the code of its lane and its format, and rewrites."""
    base = SCHEMES[recipe.scheme].base
    changes = getattr(FORMATS[recipe.format], "rewrites", ())
    return {
        "recipe": hashlib.sha256(f"{recipe.id}{SCHEMES[recipe.scheme]!r}".encode()).hexdigest(),
        **_sources(("export.lane", "export.environment", f"export.formats.{recipe.format}"), root),
        **(_sources(tuple(f"export.rewrites.{name}" for name in changes), root) if rewrites else {}),
        **({"rewrites": "none"} if changes and not rewrites else {}),
        **{pins: files.sha256(root / pins) for pins in isolated.files_of_pins(recipe.format)},
        **({"ncnn's tools": ncnn_tools.identity()} if (recipe.format, base) == ("ncnn", "int8") else {}),
        **reference,
    }


def reference_key(inputs: Mapping[str, str]) -> str:
    """Return the one digest of named inputs, whatever their order: of a reference's and of an artifact's alike."""
    return hashlib.sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest()


def _sources(modules: tuple[str, ...], root: Path) -> dict[str, str]:
    return {file.relative_to(root).as_posix(): files.sha256(file) for file in imports.closure(modules, root)}
