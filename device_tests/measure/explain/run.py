"""Receipts of cells: finds the facts by format, names what is wrong, keeps what is current."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from device_tests.measure.explain import receipt as receipts
from device_tests.measure.explain.receipt import Receipt
from device_tests.onboard.runtimes import RUNTIMES
from export import artifact as artifacts
from export.artifact import Artifact
from models import environments
from models.errors import DataError

_MODULES = {
    "tflite": "tflite",
    "onnx": "onnx",
    "ort": "onnx",
    "executorch": "executorch",
    "executorch_portable": "executorch",
    "torchscript": "torchscript",
    "torchscript_lite": "torchscript",
    "eager": "network",
    "savedmodel": "network",
}

# what the kernels of these runtimes choose between on x86 and on Arm, as Linux names them
_SETS = ("avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
         "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2", "sme")  # fmt: skip


def make(artifact: Artifact, folder: Path, runtime: str) -> Receipt:
    """Return the receipt of an artifact on a runtime; raises EdgewiseError where it cannot be loaded or read."""
    from device_tests.measure.explain import source

    path = artifacts.check(made(artifact), folder)
    facts = importlib.import_module(f"device_tests.measure.explain.{_MODULES[artifact.format]}").explain(path, runtime)
    receipt = Receipt(
        artifact=artifact.id,
        key=key(artifact, runtime),
        runtime=runtime,
        versions=_versions(artifact.format, runtime),
        library=facts.library,
        instruction_sets=instruction_sets(),
        delegate=facts.delegate,
        operators=receipts.with_layers(facts.operators, source.layers(artifact.model)),
        parts=facts.parts,
        notes=(*facts.notes, *artifact.notes),
    )
    return replace(receipt, defects=receipts.defects(receipt, artifact.scheme))


def made(artifact: Artifact) -> Artifact:
    """Return the artifact; raises DataError where its export gave no file, for "" is the name of the whole folder."""
    if artifact.outcome != "ok" or not artifact.file:
        msg = f"{artifact.id} was not made ({artifact.outcome}): {artifact.reason or 'its sidecar names no file'}"
        raise DataError(msg)
    return artifact


def _versions(format_name: str, runtime: str) -> dict[str, str]:
    """Return the versions of what looked: this environment's, for .tflite files those of the runtime's own."""
    if format_name != "tflite":
        return {name: version(name) for name in RUNTIMES[runtime].distributions}
    lines = _constraints(runtime).read_text().splitlines()
    pins = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
    return {name: pins[name] for name in RUNTIMES[runtime].distributions}


def instruction_sets() -> tuple[str, ...]:
    """Return which of the instruction sets that matter to kernels Linux reports; none elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return tuple(name for name in _SETS if name in flags)


def key(artifact: Artifact, environment: str) -> str:
    """Return a digest of what an explanation depends on: the artifact, the CPU, both environments' pins and this code.

    .tflite files are looked into in the runtime's own environment, all others in that of the exporters.
    """
    digest = hashlib.sha256(" ".join((artifact.sha256, *instruction_sets())).encode())
    for file in (
        *map(_constraints, dict.fromkeys((environment, "export"))),
        *sorted(Path(__file__).parent.glob("*.py")),
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _constraints(environment: str) -> Path:
    return environments.ROOT / "constraints" / f"{environment}.txt"


def current(file: Path, artifact: Artifact, runtime: str) -> Receipt | None:
    """Return the receipt that is there, if it still holds."""
    known = receipts.read(file)
    return known if known and known.key == key(artifact, runtime) else None
