"""What the page tells an app to do: code for every format, and the Python code run for real."""

import json
import subprocess
import textwrap

import pytest
from msgspec.structs import replace

from device_tests.report.page import snippets
from export import artifact as artifacts
from export.contract import Tensor
from models.common.environments import ROOT
from tests import programs
from tests.device_tests import conftest

ARTIFACT = conftest.artifact("a-b-c", format="tflite", file="a-b-c.tflite", layout="chw", labels=tuple("0123456789"),
                             inputs=(Tensor(name="image", shape=(-1, 1, 28, 28), dtype="float32"),),
                             outputs=(Tensor(name="logits", shape=(-1, 10), dtype="float32"),))  # fmt: skip
QUANTIZED = {side: (replace(getattr(ARTIFACT, side)[0], dtype="uint8", scale=0.5, zero_point=3),)
             for side in ("inputs", "outputs")}  # fmt: skip


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "ort", "executorch", "executorch_portable", "torchscript",
                                         "torchscript_lite", "savedmodel", "coreml", "openvino", "ncnn"])  # fmt: skip
def test_a_format_has_code_or_a_reason_in_every_language(format_name):
    written = snippets.of(replace(ARTIFACT, format=format_name))
    assert [s.language for s in written] == list(snippets.LANGUAGES.values())
    assert all(bool(s.code) != bool(s.reason) for s in written)
    assert all("-1" not in s.code and "a-b-c.tflite" in s.code.replace('"a-b-c", ofType: "', "a-b-c.")
               for s in written if s.code and s.language != "Swift")  # fmt: skip


def test_code_for_quantized_inputs_rescales_and_nobody_is_told_to_ship_a_bare_network():
    assert snippets.of(replace(ARTIFACT, format="eager")) == ()
    plain, quantized = snippets.of(ARTIFACT), snippets.of(replace(ARTIFACT, **QUANTIZED))
    assert not any("zero" in s.code.lower() for s in plain)
    assert all("zero" in s.code.lower() for s in quantized)


SNIPPET_RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "ort": "onnxruntime", "executorch": "export",
                    "torchscript": "torch", "torchscript_lite": "torch", "savedmodel": "tensorflow",
                    "openvino": "openvino", "ncnn": "ncnn"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("format_name", SNIPPET_RUNTIMES)
def test_the_python_code_gives_the_golden_answers(format_name):
    every = artifacts.load(ROOT / "artifacts")
    chosen = [a for a in every if a.format == format_name and a.scheme in ("float32", "int8_io") and a.outcome == "ok"]
    if not chosen:
        programs.absent("needs artifacts: nox -s export")
    for artifact in chosen:
        golden = artifact.golden[0]
        code = next(s.code for s in snippets.of(artifact) if s.language == "Python")
        program = textwrap.dedent("""
            import base64, json, numpy
            pixels = numpy.frombuffer(base64.b64decode({picture!r}), numpy.uint8).astype("float32") / 255
            {code}
            print("\\n" + json.dumps([float(v) for v in logits]))
        """).format(picture=golden.image_u8, code=code)
        python = conftest.need_environment(SNIPPET_RUNTIMES[format_name])
        ran = subprocess.run([python, "-c", program], cwd=ROOT / "artifacts", capture_output=True, text=True)
        assert ran.returncode == 0, (artifact.id, ran.stderr)
        assert json.loads(ran.stdout.splitlines()[-1]) == pytest.approx(golden.logits, abs=0.02), artifact.id
