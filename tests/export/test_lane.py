"""Real conversions: the whole matrix of the small model, twice; other CPUs; runs that are interrupted."""

import base64
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from export import artifact as artifacts
from export import judge, making
from export.formats import FORMATS
from export.isolated import ncnn_tools
from export.matrix import select
from export.schemes import SCHEMES
from models import data, reference
from models.common import environments, files
from models.common.environments import ROOT
from models.images import network_input
from tests.export.conftest import SMALL, copied, finished, start

pytestmark = pytest.mark.slow

# what calibrates and fine-tunes in floating point, by PyTorch
CALIBRATED = ("torchscript-int8", "torchscript_lite-int8", "executorch-int8", "executorch-qat_int8", "tflite-qat_int8")
MASKS = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "default": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "unmasked": {},
}


# what a file holds whose 21,750 weights do not all have the type that its scheme is named for
WEIGHTS = {
    "executorch-float16": {"float16": 16_500, "float32": 5_250},  # XNNPACK's serializer keeps convolutions in float32
    "executorch-int4": {"int4": 16_000, "int8": 5_000, "float32": 750},  # 50 inputs make no whole groups of 32
    "coreml-int4": {"int4": 16_000, "float16": 5_750},  # only the first dense layer has blocks of 32
    "openvino-int4": {"int4": 16_500, "int8": 5_000, "float32": 250},
    "tflite-int4": {"int4": 16_000, "int8": 5_500, "float32": 250},
    **{f"{name}-int4": {"int4": 16_500, "int8": 5_250} for name in ("onnx", "ort")},
    # PyTorch has no dynamic convolution
    **{f"{name}-dynamic_int8": {"int8": 16_500, "float32": 5_250} for name in ("torchscript", "torchscript_lite")},
    # the first convolution is a depthwise one to XNNPACK; in OpenVINO's the normalisation is folded into it
    **{f"{name}-dynamic_int8": {"int8": 21_500, "float32": 250} for name in ("executorch", "tflite", "openvino")},
}


@pytest.mark.parametrize("id", [r.id for r in select((f"{SMALL}-*",))])
def test_every_recipe_of_the_small_model_is_made_and_holds_the_weights_that_its_scheme_promises(small, id):
    stored = artifacts.read(artifacts.sidecar_path(small, id))
    if id.endswith("ncnn-int8") and not ncnn_tools.identity():  # ncnn's own programs are in no wheel
        assert (stored.outcome, "ncnn2table" in stored.reason) == ("unsupported", True)
        return
    assert stored.outcome == "ok", stored.reason
    artifacts.check(stored, small)
    assert stored.weights == WEIGHTS.get(id.removeprefix(f"{SMALL}-"), {SCHEMES[stored.scheme].weights: 21_750})
    batch, dtype = -1 if stored.format in ("onnx", "ort") else 1, "uint8" if stored.scheme == "int8_io" else "float32"
    ends = [(tensor.name, tensor.shape, tensor.dtype) for tensor in (*stored.inputs, *stored.outputs)]
    assert ends == [("image", (batch, 1, 28, 28), dtype), ("logits", (batch, 10), dtype)]
    assert stored.tools
    assert stored.dataset.name == "mnist"


def test_float_artifacts_answer_as_the_float_network_to_the_last_image(small):
    logits = reference.load(reference.path(small, SMALL)).logits
    for stored in artifacts.load(small):
        if stored.scheme == "float32" and stored.outcome == "ok":
            for golden in stored.golden:
                assert np.abs(np.float32(golden.logits) - logits[golden.index]).max() < 1e-4, stored.id


def test_the_reference_has_the_other_digits_and_the_float_network_reads_most_of_them(small):
    others = data.load("test", "digits")
    digits = reference.load(reference.path(small, SMALL)).others["digits"]
    assert (digits.images == others.images).all()
    assert (digits.labels == others.labels).all()
    assert 0.9 < (digits.logits.argmax(1) == digits.labels).mean() < 1.0


def test_golden_vectors_are_what_the_file_answers(small):
    stored = artifacts.read(artifacts.sidecar_path(small, f"{SMALL}-tflite-int8_io"))
    assert stored.inputs[0].dtype == stored.outputs[0].dtype == "uint8"
    pixels = np.stack([np.frombuffer(base64.b64decode(g.image_u8), np.uint8) for g in stored.golden])
    images = network_input(pixels.reshape(-1, 28, 28), stored.layout)
    native = judge.to_native(images, stored.inputs[0])
    reference_logits = judge.to_logits(FORMATS["tflite"].run(small / stored.file, native), stored.outputs[0])
    assert reference_logits.tolist() == [list(g.logits) for g in stored.golden]


def test_no_artifact_names_a_path_of_this_machine(small):
    for stored in artifacts.load(small):
        for member in files.members(small / stored.file) if stored.file else ():
            for trace in (str(ROOT), str(Path.home()), "stack_trace", 'File "'):
                assert trace.encode() not in member.read_bytes(), member


def test_a_second_export_elsewhere_in_another_order_gives_the_same_bytes_or_the_sidecar_says_why_not(small, tmp_path):
    """In one lane after the other, and forced, else what the first fine-tuned would be taken."""
    code = copied(tmp_path / "elsewhere")
    with (code / "export" / "matrix.py").open("a") as matrix:
        matrix.write("in_order = recipes\nrecipes = lambda: in_order()[::-1]\n")
    more = {"EDGEWISE_ENVS": str(environments.folder()), "PYTHONHASHSEED": "7"}
    finished(start(tmp_path / "again", "*", options=("--force", "--jobs=1"), code=code, **more))
    for stored in artifacts.load(small):
        again = artifacts.read(artifacts.sidecar_path(tmp_path / "again", stored.id))
        assert again.sha256 == stored.sha256 or isinstance(stored.reproducible, str), stored.id


def test_masked_instruction_sets_give_the_same_bytes(tmp_path):
    """Forced, else what another export fine-tuned would be taken."""
    digests = {}
    for name, masks in MASKS.items():
        finished(start(tmp_path / name, *CALIBRATED, options=("--force",), **masks))
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
    recipes = len(select(tuple(f"{SMALL}-{glob}" for glob in only)))
    assert f"{recipes} ok" in rest
    current = int(rest.split(" were current")[0].rsplit(" ", 1)[-1])
    assert len(whole) <= current < recipes
    assert not list(tmp_path.glob(".*.tmp*"))


def test_two_exports_at_once_in_one_folder_do_not_disturb_each_other(tmp_path):
    for process in [start(tmp_path, "onnx-*") for _ in range(2)]:
        finished(process)
    for stored in artifacts.load(tmp_path):
        artifacts.check(stored, tmp_path)
