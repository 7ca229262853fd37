"""The sweep over emulated cores: what it says of answers that differ, and of cores that cannot be had."""

import json
import re
import subprocess
import sys
from functools import partial

import pytest
from click.testing import CliRunner

from device_tests import devices
from device_tests.commands import sweep
from device_tests.contract import Command
from device_tests.devices import arm64
from device_tests.measure import divergence
from device_tests.transport import bundle
from models import reference
from models.common.environments import ROOT
from models.common.errors import EdgewiseError, EnvironmentMissing
from tests import programs
from tests.device_tests.conftest import export, measured, need_environment, raises

# a row of an emulated core that was compared with the desktop's
on_a_core = partial(measured, runtime="onnxruntime", format_name="onnx", device="cortex-a53", compared=1_000, same=0)


def test_the_same_bits_leave_nothing_to_say_and_of_floats_only_the_largest_difference(tmp_path):
    rows = (on_a_core("int8", same=1_000), on_a_core("float32", same=1_000), measured("int8"))  # not compared
    assert sweep.differences(rows, tmp_path) == []
    differences = {"float32": 1e-5, "int4": 0.2, "dynamic_int8": 0.04}
    rows = tuple(on_a_core(scheme, difference=by, first_other=0) for scheme, by in differences.items())
    (line,) = sweep.differences(rows, tmp_path)
    assert "up to 0.2 (torch_cnn_small-onnx-int4@onnxruntime@cortex-a53)" in line


def test_integers_that_differ_are_named_with_image_and_layer_if_it_can_be_shown(tmp_path, monkeypatch):
    row = on_a_core("int8", same=993, difference=0.25, first_other=7)
    (line,) = sweep.differences((row, on_a_core("int8_io", same=1_000)), tmp_path)
    message = "integers, yet 7 of 1,000 answers are other ones than on the desktop, by up to 0.25"
    assert line.startswith(f"{row.id}: {message}")
    assert "image 7" in line
    assert "onnxruntime has no means to show" in line
    monkeypatch.setattr(sweep, "_layer", lambda row, folder: "layer 2 of 4 with weights, CONV_2D")
    (line,) = sweep.differences((on_a_core("int8", runtime="litert", difference=1.0, first_other=0),), tmp_path)
    assert line.endswith("first for image 0, in layer 2 of 4 with weights, CONV_2D")


def test_what_cannot_be_had_is_an_error_with_the_command_that_installs_it(tmp_path, monkeypatch):
    missing = EnvironmentMissing("Emulated Arm cores need qemu-aarch64. Install it: sudo apt-get install qemu-user")
    monkeypatch.setattr(bundle, "build", raises(missing))
    for named in (("--device", "cortex-a76"), ()):
        done = CliRunner().invoke(sweep.sweep, [*named, "--results", str(tmp_path)])
        assert isinstance(done.exception, EnvironmentMissing)
        assert "skipped cortex-a76: " in done.output
        assert "sudo apt-get install qemu-user" in done.output
    assert not list(tmp_path.iterdir())
    dying = Command(argv=(sys.executable, "-c", "import sys; sys.exit('no such file')"))
    with pytest.raises(EdgewiseError, match="no such file"):  # the last line of who looks at layers
        divergence.run(dying)


def test_it_lists_its_cells_without_an_emulator_and_further_engines_where_they_are_named(monkeypatch):
    def listed(*arguments: str) -> list[str]:
        return CliRunner().invoke(sweep.sweep, ["--list", *arguments]).output.split()

    monkeypatch.setenv("PATH", "")
    own = listed("--only", "torch_cnn-tflite-int8", "--runtime", "litert")
    assert own == [f"torch_cnn-tflite-int8@litert@{core}" for core in arm64.CORES]
    every = [()], [("--runtime", "ncnn")], [("--only", "torch_cnn-onnx-int8")]
    plain, ncnn, onnx = ({line.split("@")[1] for line in listed(*more[0])} for more in every)
    assert not {"ncnn", "openvino"} & plain
    assert ncnn == {"ncnn"}
    assert "openvino" in onnx


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The artifacts, where there is what runs them on an emulated core."""
    need_environment("export")
    need_environment("litert")
    try:
        bundle.build(arm64.ABI)
        devices.device("cortex-a76").require("litert")
    except EnvironmentMissing as error:
        programs.absent(str(error))
    return export(tmp_path_factory.mktemp("exported"), *(f"torch_cnn_small-tflite-{s}" for s in ("float32", "int8")))


@pytest.mark.needs("qemu-aarch64", "cc", "apt-get")
@pytest.mark.slow
def test_two_sweeps_count_the_same_and_integers_answer_as_on_the_desktop(exported, tmp_path):
    counted = []
    for name in ("one", "another"):
        only = ("--only", "torch_cnn_small-tflite-*", "--runtime", "litert", "--device", "cortex-a76")
        places = ("--artifacts", exported, "--results", tmp_path / name)
        argv = [sys.executable, "-m", "device_tests", "sweep", *only, *places]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
        for scheme in ("float32", "int8"):  # the others were not exported
            file = tmp_path / name / "instructions" / f"torch_cnn_small-tflite-{scheme}@litert@cortex-a76.json"
            assert file.exists(), done.stdout + done.stderr
            counted.append(min(json.loads(file.read_text())["samples"]))
        line = next(line for line in done.stdout.splitlines() if "tflite-int8 " in line and "same" in line)
        assert re.search(rf" {counted[-1]:,} \(\d+% of the limit\), same", line)
    assert counted[:2] == counted[2:]


@pytest.mark.needs("qemu-aarch64", "cc", "apt-get")
@pytest.mark.slow
def test_the_layer_is_named_from_which_on_two_processors_differ(exported):
    image = reference.load(reference.path(exported, "torch_cnn_small")).images[0]
    here = Command(argv=(str(need_environment("litert")),))
    there = devices.device("cortex-a76").python("litert")
    files = [exported / f"torch_cnn_small-tflite-float32{suffix}" for suffix in (".tflite", ".json")]
    assert divergence.first_layer(*files, image, here, there).startswith("layer ")  # sums of floats, in another order
    assert divergence.first_layer(*files, image, here, here) == "what follows the last layer with weights"
