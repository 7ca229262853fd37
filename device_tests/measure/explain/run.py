"""Placements of cells: the format's module reads the facts, placement.py names layers and defects."""

import importlib
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

from device_tests import current_results
from device_tests.measure.explain import source
from device_tests.measure.explain.placement import defects, with_layers
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.placements import Placement
from export import artifact as artifacts
from export.isolated import ENVIRONMENTS
from models.common.errors import DataError

# the modules of this folder that read a format: of its own name, or another's
MODULES = {name: name for name in ("tflite", "onnx", "executorch", "torchscript", "coreml", "openvino", "ncnn")}
MODULES |= {"ort": "onnx", "executorch_portable": "executorch", "torchscript_lite": "torchscript"}
MODULES |= {"eager": "network", "savedmodel": "network"}
# runtimes that report the executed graph themselves, whatever the format
OWN = {"openvino": "openvino"}


def make(artifact: artifacts.Artifact, folder: Path, runtime: str) -> Placement:
    """Return the placement of an artifact on a runtime; raises EdgewiseError where it cannot be loaded or read."""
    if artifact.format not in MODULES:
        raise DataError(f"explain cannot read {artifact.format} yet. Add the module that can to MODULES in {__name__}.")
    path = artifacts.check(artifact, folder)
    name = module(artifact.format, runtime)
    facts = importlib.import_module(f"device_tests.measure.explain.{name}").explain(path, runtime)
    placement = Placement(
        artifact=artifact.id,
        key=current_results.explanation(artifact, runtime),
        runtime=runtime,
        versions=_versions(artifact.format, runtime),
        library=facts.library,
        instruction_sets=current_results.instruction_sets(),
        delegate=facts.delegate,
        operators=with_layers(facts.operators, source.layers(artifact.model)),
        parts=facts.parts,
        notes=(*facts.notes, *artifact.notes),
    )
    return replace(placement, defects=defects(placement, artifact.scheme))


def module(format_name: str, runtime: str) -> str:
    """Return the module of this folder that reads a format on a runtime."""
    return OWN.get(runtime) or MODULES[format_name]


def _versions(format_name: str, runtime: str) -> dict[str, str]:
    """Return the versions that gave the placement: this environment's, or the pins of the runtime's own environment."""
    if format_name != "tflite" and runtime not in ENVIRONMENTS.values():
        return {name: version(name) for name in RUNTIMES[runtime].distributions}
    return current_results.pinned(runtime)
