"""Compiles .tflite files with vela for Arm's Ethos-U NPUs, in vela's own environment, and records its estimates."""

import csv
import re
import subprocess
import tempfile
from pathlib import Path

from device_tests import current_results
from device_tests.results.npu import Compiled, Npu
from export import artifact as artifacts
from models.common import environments
from models.common.processes import death

# The accelerators, the smallest first, and vela's own description of a system that has each.
ACCELERATORS = ("ethos-u55-128", "ethos-u65-512", "ethos-u85-256")
TIMEOUT_S = 120
TOO_LONG = f"no end after {TIMEOUT_S} s"  # the machine may be the reason
KIB = 1024
_COUNTS = re.compile(r"^(CPU|NPU) operators = (\d+)", re.MULTILINE)
_LEFT = re.compile(r"^Warning \(supported operators\) operator: (\w+)", re.MULTILINE)


def compile_artifact(artifact: artifacts.Artifact, folder: Path) -> Npu:
    """Compile a .tflite artifact with vela for each accelerator and return the record; a crash is recorded, too."""
    file = artifacts.check(artifact, folder)
    python = environments.python(current_results.VELA, install="nox -s npu")
    compiled = tuple(_compile(python, file, accelerator) for accelerator in ACCELERATORS)
    version = current_results.pins(current_results.VELA)["ethos-u-vela"]
    return Npu(artifact=artifact.id, key=current_results.npu_key(artifact), version=version, compiled=compiled)


def _compile(python: Path, file: Path, accelerator: str) -> Compiled:
    with tempfile.TemporaryDirectory() as place:
        options = ("--accelerator-config", accelerator, "--output-dir", place)
        command = (python, "-m", "ethosu.vela", file, *options)
        try:
            ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return Compiled(accelerator=accelerator, outcome="failed", reason=TOO_LONG)
        tables = Path(place).glob("*_summary_*.csv")
        summary = next((row for table in tables for row in csv.DictReader(table.open())), None)
        return parsed(accelerator, ended.returncode, ended.stdout + ended.stderr, summary)


def parsed(accelerator: str, code: int, text: str, summary: dict[str, str] | None) -> Compiled:
    """Return the record of one run of vela, from its exit code, its output and the row of its summary."""
    if code:
        lines = [line.strip() for line in text.splitlines() if line.startswith(("Error", "ERROR"))]
        why = f"vela {death(code)}" + (f": {lines[-1][:200]}" if lines else "")
        return Compiled(accelerator=accelerator, outcome="failed", reason=why)
    counts = {name: int(count) for name, count in _COUNTS.findall(text)}
    if set(counts) != {"CPU", "NPU"}:
        return Compiled(accelerator=accelerator, outcome="failed", reason="vela ended with 0 and told no operators")
    left = tuple(sorted(set(_LEFT.findall(text))))
    facts = {"npu_operators": counts["NPU"], "cpu_operators": counts["CPU"], "left": left}
    if not counts["NPU"]:  # vela does not call this an error
        why = f"vela ended with 0 and left all {counts['CPU']} operators on the CPU"
        return Compiled(accelerator=accelerator, outcome="unsupported", reason=why, **facts)
    if summary is None:
        return Compiled(accelerator=accelerator, outcome="failed", reason="vela ended with 0 and wrote no summary")
    flash = sum(float(summary[f"{place}_flash_memory_used"]) for place in ("on_chip", "off_chip"))
    return Compiled(
        accelerator=accelerator,
        outcome="ok",
        sram_bytes=round(float(summary["sram_memory_used"]) * KIB),
        flash_bytes=round((flash + float(summary["dram_memory_used"])) * KIB),
        inferences_per_s=float(summary["inferences_per_second"]),
        **facts,
    )
