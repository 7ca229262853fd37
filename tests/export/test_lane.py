"""Real conversions: the whole matrix of the small model, twice; other CPUs; runs that are interrupted."""

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from export import artifact as artifacts
from export import judge, making
from export.formats import FORMATS
from export.matrix import select
from models import data, reference
from models.common import files
from models.common.environments import ROOT
from models.images import network_input

pytestmark = pytest.mark.slow

# what calibrates and fine-tunes in floating point, by PyTorch
CALIBRATED = ("torchscript-int8", "torchscript_lite-int8", "executorch-int8", "executorch-qat_int8", "tflite-qat_int8")
MASKS = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "default": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "unmasked": {},
}


def start(folder: Path, *only: str, force: bool = False, **environment: str) -> subprocess.Popen:
    arguments = [a for glob in only for a in ("--only", f"torch_cnn_small-{glob}")]
    arguments += ["--force"] if force else []
    command = [sys.executable, "-m", "export", *arguments, "--artifacts", str(folder), "--logs", str(folder / "logs")]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, **options)


def finished(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    finished(start(folder, "*"))
    return folder


@pytest.mark.parametrize("id", [r.id for r in select(("torch_cnn_small-*",))])
def test_every_recipe_of_the_small_model_is_made_or_says_why_not(small, id):
    stored = artifacts.read(artifacts.sidecar_path(small, id))
    if stored.outcome != "ok":
        assert stored.outcome == "unsupported"
        assert len(stored.reason) > 20
        return
    artifacts.check(stored, small)
    batch = -1 if stored.format in ("onnx", "ort") else 1
    assert (stored.inputs[0].shape, stored.outputs[0].shape) == ((batch, 1, 28, 28), (batch, 10))
    assert stored.tools
    assert stored.dataset.name == "mnist"


def test_float_artifacts_answer_as_the_float_network_to_the_last_image(small):
    logits = reference.load(reference.path(small, "torch_cnn_small")).logits
    for stored in artifacts.load(small):
        if stored.scheme == "float32" and stored.outcome == "ok":
            for golden in stored.golden:
                assert np.abs(np.float32(golden.logits) - logits[golden.index]).max() < 1e-4, stored.id


def test_the_reference_has_the_other_digits_and_the_float_network_reads_most_of_them(small):
    others = data.load("test", "digits")
    digits = reference.load(reference.path(small, "torch_cnn_small")).others["digits"]
    assert (digits.images == others.images).all()
    assert (digits.labels == others.labels).all()
    assert 0.9 < (digits.logits.argmax(1) == digits.labels).mean() < 1.0


def test_golden_vectors_are_what_the_file_answers(small):
    stored = artifacts.read(artifacts.sidecar_path(small, "torch_cnn_small-tflite-int8_io"))
    assert stored.inputs[0].dtype == stored.outputs[0].dtype == "uint8"
    pixels = np.stack([np.frombuffer(base64.b64decode(g.image_u8), np.uint8) for g in stored.golden])
    images = network_input(pixels.reshape(-1, 28, 28), stored.layout)
    native = judge.to_native(images, stored.inputs[0])
    reference_logits = judge.to_logits(FORMATS["tflite"].run(small / stored.file, native), stored.outputs[0])
    assert reference_logits.tolist() == [list(g.logits) for g in stored.golden]


def test_no_artifact_names_a_path_of_this_machine(small):
    for stored in artifacts.load(small):
        for member in files.members(small / stored.file) if stored.file else ():
            assert str(ROOT).encode() not in member.read_bytes(), member
            assert str(Path.home()).encode() not in member.read_bytes(), member


def test_a_second_export_gives_the_same_bytes_or_the_sidecar_says_why_not(small, tmp_path):
    finished(start(tmp_path, "*", force=True))  # else what the first fine-tuned would be taken
    for stored in artifacts.load(small):
        again = artifacts.read(artifacts.sidecar_path(tmp_path, stored.id))
        assert again.sha256 == stored.sha256 or isinstance(stored.reproducible, str), stored.id


def test_masked_instruction_sets_give_the_same_bytes(tmp_path):
    """Forced, else what another export fine-tuned would be taken."""
    digests = {}
    for name, masks in MASKS.items():
        finished(start(tmp_path / name, *CALIBRATED, force=True, **masks))
        digests[name] = {artifact.id: artifact.sha256 for artifact in artifacts.load(tmp_path / name)}
    assert len(digests["avx2"]) == len(CALIBRATED)
    assert all(digests["avx2"].values())
    assert digests["avx2"] == digests["default"] == digests["unmasked"]


def test_the_sidecar_says_which_scheme_may_differ_between_cpus_and_no_other():
    assert "AVX-512" in making.reproducible(FORMATS["executorch"], "qat_int8")
    assert making.reproducible(FORMATS["executorch"], "int8") is True
    assert "kernel_type_str_resolver" in making.reproducible(FORMATS["ort"], "int8")
    assert making.reproducible(FORMATS["torchscript_lite"], "int8") is True


def sidecars(folder: Path) -> list[Path]:
    return [*folder.glob("[!.]*.json")]  # what is being written has a hidden name


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_an_interrupted_export_keeps_what_is_finished_and_the_next_does_the_rest(tmp_path, how):
    only = ("eager-*", "torchscript-*", "onnx-*")
    process = start(tmp_path, *only)
    deadline = time.monotonic() + 300
    while len(sidecars(tmp_path)) < 2:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, how)
    output, _ = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Interrupted" in output
        assert "Traceback" not in output
    whole = sidecars(tmp_path)
    for sidecar in whole:
        artifacts.check(artifacts.read(sidecar), tmp_path)
    time.sleep(5)  # after kill -9 a lane finds its orchestrator gone when it next reports
    rest = " ".join(finished(start(tmp_path, *only)).split())
    recipes = len(select(tuple(f"torch_cnn_small-{glob}" for glob in only)))
    assert f"{recipes} ok" in rest
    current = int(rest.split(" were current")[0].rsplit(" ", 1)[-1])
    assert len(whole) <= current < recipes
    assert not list(tmp_path.glob(".*.tmp*"))


def test_two_exports_at_once_in_one_folder_do_not_disturb_each_other(tmp_path):
    for process in [start(tmp_path, "onnx-*") for _ in range(2)]:
        finished(process)
    for stored in artifacts.load(tmp_path):
        artifacts.check(stored, tmp_path)
