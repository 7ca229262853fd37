"""The inputs of every result as named digests: a result of other inputs is stale, and the names say why."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from device_tests import devices, onboard
from device_tests.cells import Cell
from device_tests.contract import DESKTOP
from device_tests.onboard.runtimes import RUNTIMES, beside
from device_tests.results import instructions as counts
from device_tests.results import layers as layer_files
from device_tests.results import npu as npus
from device_tests.results import placements
from device_tests.results import rewrites as rewritten_files
from device_tests.results.measurement import Environment
from export import isolated
from export.artifact import Artifact
from models.common import environments, imports, provenance
from models.common.errors import DataError, EnvironmentMissing

T = TypeVar("T")

# what the kernels of these runtimes choose between on x86 and on Arm, as Linux names them
_SETS = ("avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
         "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2", "sme")  # fmt: skip

PACKAGES = "the runtime's packages"
DESKTOPS_WORKER = (*onboard.WORKER, Path(onboard.__file__).with_name("warm.py"))
EXPLAIN = Path(__file__).parent / "measure" / "explain"
VELA = "vela"  # the environment that compiles for NPUs
EXPORT = "export"  # the environment that has every tool that shows the inside of a file


def of_cell(
    cell: Cell, artifact: Artifact, reference_sha256: str, packages: tuple[str, ...] | None
) -> provenance.Inputs:
    """Return the present inputs of a cell's logits; `packages` are those of its runtime, None where they are unknown."""
    programs = DESKTOPS_WORKER if cell.device == DESKTOP else onboard.WORKER
    return {"the reference": reference_sha256[:16], **of_load(cell.runtime, artifact, packages, programs)}


def of_load(
    runtime: str, artifact: Artifact, packages: tuple[str, ...] | None, programs: tuple[Path, ...]
) -> provenance.Inputs:
    """Return the present inputs of what `programs` of this project measure of an artifact on a runtime."""
    own = (environments.ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in beside(runtime))
    return {
        "the artifact": artifact.sha256[:16],
        "the artifact's inputs and outputs": provenance.digest(artifact.inputs, artifact.outputs, artifact.layout),
        "the program that measures": provenance.of_files(programs),
        "the runtime's adapter": provenance.of_files((RUNTIMES.path(runtime), *own)),
        PACKAGES: None if packages is None else provenance.digest(*packages),
    }


def held(read: Callable[..., T | None], *arguments: Any) -> T | None:
    """Return what a reader of the results returns, None where the file is broken and counts as missing."""
    try:
        return read(*arguments)
    except DataError:
        return None


@lru_cache
def packages(runtime: str, device: str) -> tuple[str, ...] | None:
    """Return the packages of a runtime, None where they cannot be listed without asking a device that may be away."""
    if not devices.is_local(device):
        return None
    try:
        there = devices.device(device)
        there.require(runtime)
        return there.pins(runtime)
    except EnvironmentMissing:
        return None


def other_versions(runtime: str, environment: Environment) -> bool:
    """Tell whether a result's versions differ from the pins, where the runtime is not installed to compare with."""
    pins = pinned(runtime)
    return any(pins.get(name, version) != version for name, version in environment.runtime.items())


@lru_cache
def pinned(runtime: str) -> dict[str, str]:
    """Return the pinned versions of a runtime's distributions."""
    every = pins(runtime)
    return {name: every[name] for name in RUNTIMES[runtime].distributions if name in every}


def pins(environment: str) -> dict[str, str]:
    """Return the pinned versions of an environment's distributions."""
    lines = (environments.ROOT / "constraints" / f"{environment}.txt").read_text().splitlines()
    return dict(line.split(" ")[0].split("==") for line in lines if "==" in line)


def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that matter to kernels, of those that Linux reports; none on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return tuple(name for name in _SETS if name in flags)


def explanation(artifact: Artifact, environment: str) -> str:
    """Return a digest of what placements and layers depend on: the artifact, the CPU, the environments' pins, the code.

    .tflite files are read in the runtime's own environment, all others in the exporters'.
    """
    pins = [environments.ROOT / "constraints" / f"{name}.txt" for name in dict.fromkeys((environment, EXPORT))]
    pins += [environments.ROOT / file for file in isolated.files_of_pins(artifact.format)]
    readers = imports.closure((f"export.formats.{artifact.format}", "models.mil"), environments.ROOT)
    code = provenance.of_files((*dict.fromkeys(pins), *sorted(EXPLAIN.glob("*.py")), *readers))
    return provenance.digest(artifact.sha256, *instruction_sets(), code)


def placement(results: Path, artifact: Artifact, runtime: str) -> placements.Placement | None:
    """Return the stored placement if it is current, else None; raises DataError where it is broken."""
    record = placements.read(results, f"{artifact.id}@{runtime}")
    return record if record and record.key == explanation(artifact, runtime) else None


def instructions(results: Path, artifact: Artifact, runtime: str, device: str) -> counts.InstructionCount | None:
    """Return the stored count of a cell if it is current, else None; raises DataError where it is broken."""
    record = counts.read(counts.path(results, f"{artifact.id}@{runtime}@{device}"))
    if record is None or provenance.stale(
        record.inputs, of_load(runtime, artifact, packages(runtime, device), onboard.PROBE)
    ):
        return None
    return record


def rewritten(results: Path, artifact: Artifact, runtime: str) -> rewritten_files.Rewritten | None:
    """Return what an artifact's rewrites bring, if that was measured of this file; raises DataError for a broken record."""
    record = rewritten_files.read(results, f"{artifact.id}@{runtime}")
    return record if record and record.artifact_sha256 == artifact.sha256 else None


def npu_key(artifact: Artifact) -> str:
    """Return a digest of what vela's estimates depend on: the artifact, vela's pins, and the code that reads them."""
    files = (environments.ROOT / "constraints" / f"{VELA}.txt", Path(__file__).parent / "measure" / "npu.py")
    return provenance.digest(artifact.sha256, provenance.of_files(files))


def npu(results: Path, artifact: Artifact) -> npus.Npu | None:
    """Return the stored record of vela if it is current, else None; raises DataError where it is broken."""
    record = npus.read(results, artifact.id)
    return record if record and record.key == npu_key(artifact) else None


def layers(results: Path, artifact: Artifact) -> layer_files.Layers | None:
    """Return the stored layers of an artifact if they are current, else None; raises DataError where they are broken."""
    record = layer_files.read(results, artifact.id)
    return record if record and record.key == explanation(artifact, EXPORT) else None
