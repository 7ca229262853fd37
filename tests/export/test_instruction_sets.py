"""The bytes of an artifact do not depend on the vector instructions of the CPU that exports it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from export import artifact as artifacts
from models.environments import ROOT

pytestmark = pytest.mark.slow

# what calibrates and fine-tunes in floating point, by PyTorch
CALIBRATED = ("torchscript-int8", "torchscript_lite-int8", "executorch-int8", "executorch-qat_int8", "tflite-qat_int8")
MASKS = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "default": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}


def exported(folder: Path, masks: dict[str, str]) -> dict[str, str]:
    only = [argument for name in CALIBRATED for argument in ("--only", f"torch_cnn_small-{name}")]
    only.append("--force")  # else what another export fine-tuned would be taken
    command = [sys.executable, "-m", "export", *only, "--artifacts", str(folder), "--logs", str(folder / "logs")]
    subprocess.run(command, cwd=ROOT, env=os.environ | masks, check=True, capture_output=True)
    return {digests.id: digests.sha256 for digests in artifacts.load(folder)}


def test_masked_instruction_sets_give_the_same_bytes(tmp_path):
    digests = {name: exported(tmp_path / name, masks) for name, masks in MASKS.items()}
    assert len(digests["avx2"]) == len(CALIBRATED)
    assert all(digests["avx2"].values())
    assert digests["avx2"] == digests["default"] == exported(tmp_path / "unmasked", {})


def test_the_sidecar_says_which_scheme_may_differ_between_cpus_and_no_other():
    from export import making
    from export.formats import FORMATS

    assert "AVX-512" in making.reproducible(FORMATS["executorch"], "qat_int8")
    assert making.reproducible(FORMATS["executorch"], "int8") is True
    assert "kernel_type_str_resolver" in making.reproducible(FORMATS["ort"], "int8")
    assert making.reproducible(FORMATS["torchscript_lite"], "int8") is True
