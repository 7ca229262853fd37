"""What a cell's result depends on, as named digests, so that a result that no longer holds says why."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from device_tests import devices
from device_tests.cells import Cell
from device_tests.onboard import probe, worker
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.measurement import Environment
from export.artifact import Artifact
from models import environments, inputs
from models.errors import EnvironmentMissing

PACKAGES = "the runtime's packages"
WORKER = (Path(worker.__file__),)
PROBE = (Path(probe.__file__), Path(worker.__file__))


def of_cell(cell: Cell, artifact: Artifact, reference_sha256: str, packages: tuple[str, ...] | None) -> inputs.Inputs:
    """Return the present inputs of a cell's logits; `packages` is what its runtime has installed, None where unknown."""
    return {
        "the reference": reference_sha256[:16],
        **of_load(cell.runtime, artifact, packages, WORKER),
    }


def of_load(
    runtime: str, artifact: Artifact, packages: tuple[str, ...] | None, programs: tuple[Path, ...]
) -> inputs.Inputs:
    """Return the present inputs of whatever `programs` of ours measure of an artifact on a runtime."""
    return {
        "the artifact": artifact.sha256[:16],
        "the artifact's inputs and outputs": inputs.digest(artifact.inputs, artifact.outputs),
        "the program that measures": inputs.of_files(programs),
        "the runtime's adapter": inputs.of_files((RUNTIMES.path(runtime),)),
        PACKAGES: None if packages is None else inputs.digest(*packages),
    }


@lru_cache
def packages(runtime: str, device: str) -> tuple[str, ...] | None:
    """Return what is installed for a runtime, None where that cannot be told without asking a device that may be away."""
    if not devices.is_local(device):
        return None
    try:
        there = devices.device(device)
        there.require(runtime)
        return there.pins(runtime)
    except EnvironmentMissing:
        return None


def other_versions(runtime: str, environment: Environment) -> bool:
    """Tell whether a desktop's runtime ran in other versions than its pins, where it is not installed here to compare."""
    pins = pinned(runtime)
    return any(pins.get(name, version) != version for name, version in environment.runtime.items())


@lru_cache
def pinned(runtime: str) -> dict[str, str]:
    """Return the pinned versions of a runtime's distributions."""
    lines = (environments.ROOT / "constraints" / f"{runtime}.txt").read_text().splitlines()
    pins = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
    return {name: pins[name] for name in RUNTIMES[runtime].distributions if name in pins}
