"""What `nox -s pipeline` does, in which order, and what it says that it left out."""

from __future__ import annotations

import shutil

import pytest

from models import files
from tests import noxfiles
from tests.noxfiles import Quit, Session


def test_a_quick_pipeline_says_that_it_leaves_out_the_further_engines(run_nox):
    session = run_nox("pipeline", "--quick")
    assert "export --quick in core" in session.done
    (warning,) = (words for words in session.words if words.startswith("Further engines were left out"))
    assert "--runtime openvino" in warning
    named = run_nox("pipeline", "--quick", "--runtime", "openvino", prints="a-openvino-int8@openvino@desktop")
    for complete in (named, run_nox("pipeline")):
        assert "export in core" in complete.done  # else there were none of its artifacts
        assert not any("Further engines" in words for words in complete.words)


def test_pipeline_hands_its_folders_to_every_step(noxfile, run_nox):
    session = run_nox("pipeline", "--results", "R", "--artifacts=A", "--budgets", "B")
    runs = [line for line in session.done if not line.startswith(("check", "install")) and "--list" not in line]
    assert runs[0] == "export --artifacts=A in core"
    (together,) = (line for line in runs if "--runtime=" in line and "device_tests run" in line)
    assert all(f"--runtime={name}" in together for name in noxfile.RUNTIMES.names())
    assert "--results R --artifacts=A --budgets B" in together
    others = [line for line in runs[1:] if "device_tests run" not in line]
    names = ["explain", "npu", "shipping", "latency", "instructions", "report", "check"]
    assert [next(name for name in names if name in line) for line in others] == names
    for line in others:
        assert "--artifacts=A" in line
        assert "--results=R" in line or "--out=R/shipping.json" in line, line
    assert "--budgets=B" in others[-1]


def test_pipeline_of_a_users_own_networks_hands_their_folder_to_every_step(run_nox, tmp_path):
    session = run_nox("pipeline", "--models", str(tmp_path), "--quick")
    runs = [line for line in session.done if not line.startswith("install")]
    assert all(f"--models={tmp_path}" in line or f"--models {tmp_path}" in line for line in runs), runs
    (shipping,) = (line for line in runs if "shipping" in line)
    assert f"--out={tmp_path}/results/shipping.json" in shipping
    assert any("instructions" in line and "--only=*-tflite-int8@litert@*" in line for line in runs)


@pytest.mark.parametrize("arguments", [(), ("--quick",)])
def test_pipeline_says_what_it_left_out_and_which_command_does_it(run_nox, arguments):
    output = "\n".join(run_nox("pipeline", *arguments).words)
    for command in ("nox -s latency", "nox -s instructions", "nox -s explain -- --all --layers"):
        assert command in output


def test_pipeline_goes_on_without_the_programs_that_are_missing(run_nox, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    session = run_nox("pipeline")
    assert not any("shipping" in line or "instructions" in line for line in session.done)
    assert session.done[-1] == "device_tests check in core"
    output = "\n".join(session.words)
    assert "apt-get install binutils" in output
    assert "apt-get install qemu-user" in output


def test_pipeline_of_some_cells_measures_nothing_else_and_says_so(run_nox):
    session = run_nox("pipeline", "--only", "torch_cnn_small-*")
    only = "--only=torch_cnn_small-*"
    steps = [f"device_tests report {only}", f"device_tests check {only}"]
    assert [line.split(" in ")[0] for line in session.done[-2:]] == steps
    assert not any("latency" in line or "explain" in line for line in session.done)
    assert "nox -s explain -- --all" in session.words[-1]


def test_a_failed_step_of_pipeline_keeps_no_other_from_being_done(run_nox):
    session = Session(fails=("--runtime=torch", "latency"))
    with pytest.raises(Quit, match="device_tests, latency. All other steps were done"):
        run_nox("pipeline", session=session)
    assert session.done[-1] == "device_tests check in core"


def test_pipeline_keeps_latencies_that_took_longer(run_nox, tmp_path):
    """A full run of `nox -s latency` is half an hour's work."""
    for runtime, limit_s in (("litert", 60.0), ("onnxruntime", 1.0)):
        files.write_json(tmp_path / "latency" / f"{runtime}@desktop.json", {"limit_s": limit_s})
    session = run_nox("pipeline", "--results", str(tmp_path))
    (line,) = [line for line in session.done if "latency" in line]
    assert "--runtime=onnxruntime" in line
    assert "--runtime=litert " not in line


def test_pipeline_of_a_folder_without_networks_of_a_framework_installs_and_runs_no_runtime_of_its(run_nox):
    """The first one asked each runtime alone, which is an error where nothing runs on it: nothing was run at all."""
    session = run_nox("pipeline", "--quick", "--only", "a-tflite-*@litert@*", prints="a-tflite-int8@litert@desktop")
    assert [line for line in session.done if line.startswith("install")] == ["install export", "install litert"]
    (run,) = (line for line in session.done if "device_tests run" in line and "--runtime=" in line)
    assert "--runtime=litert --quick --only a-tflite-*@litert@*" in run
    assert "export a-tflite-* in core" not in session.done  # an option with its value, not a word
    for step in ("export --only=a-tflite-*", "report --only=a-tflite-*@litert@*", "check --only=a-tflite-*@litert@*"):
        assert any(step in line for line in session.done), (step, session.done)


def test_pipeline_reports_and_checks_also_where_an_environment_cannot_be_installed(noxfile, run_nox, monkeypatch):
    noxfiles.cannot_install(monkeypatch, noxfile, "vela")
    session = Session()
    with pytest.raises(Quit, match="npu. All other steps were done"):
        run_nox("pipeline", session=session)
    assert any("check" in line for line in session.done)
