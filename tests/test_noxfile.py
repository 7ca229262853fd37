"""What the sessions do, in which order; `pipeline` also says what it left out."""

import os
import shutil
import subprocess
import sys

import pytest

from device_tests.onboard.runtimes import RUNTIMES
from models.common import files
from models.common.environments import ROOT
from tests import noxfiles
from tests.device_tests.conftest import raises
from tests.noxfiles import CommandFailed, Quit, Session

# Each session that installs or exports, with what it runs.
SESSIONS = {"export": "export", "train": "models", "fuzz": "tests.device_tests.fuzz.fuzz"}
SESSIONS |= dict.fromkeys(("device_tests(litert)", "pipeline"), "device_tests run")
OF_DEVICES = {"arm64": "sweep", "ssh": "ssh", "android": "android phone", "android-vm": "android vm"}
SESSIONS |= {f"devices({name})": f"device_tests {verb}" for name, verb in OF_DEVICES.items()}
BENCHMARKS = {"timing": "overhead", "releases": "releases"}
SESSIONS |= {f"benchmarks({name})": f"tests.device_tests.benchmarks.{module}" for name, module in BENCHMARKS.items()}
OF_THEIR_NAME = ("latency", "instructions", "explain", "compatibility", "shipping", "npu")
SESSIONS |= {name: f"device_tests {name}" for name in OF_THEIR_NAME}


CELL = "a-onnx-int8@openvino@desktop"


@pytest.mark.parametrize("name", SESSIONS)
def test_a_mistyped_argument_a_list_and_help_end_before_anything_is_installed_or_exported(noxfile, run_nox, name):
    session = Session("--typo", fails=("--typo",))
    with pytest.raises(CommandFailed):
        run_nox(name, session=session)
    assert session.done == [f"check arguments of {SESSIONS[name]} --typo in core"]
    for option in ("--list", "--help"):
        (line,) = run_nox(name, option).done
        assert line.endswith(f"{option} in core")
        assert not line.startswith("check")


@pytest.mark.parametrize("name", SESSIONS)
def test_what_a_session_runs_ends_once_its_arguments_were_looked_at(noxfile, name):
    """Else it would work in the smallest environment first, where nothing that it needs is installed."""
    needed = {"explain": ("--all",), "devices(ssh)": ("--device", "ssh:nobody@nowhere.invalid")}.get(name, ())
    command = (sys.executable, "-m", *SESSIONS[name].split(), *needed)
    environment = {**os.environ, **noxfiles.sessions().ONLY_PARSE}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("option", ["--import=saved.json", "--clean"])
def test_what_needs_no_runtime_is_done_once_and_installs_none(run_nox, option):
    session = Session(option)
    for runtime in RUNTIMES.names():
        run_nox(f"device_tests({runtime})", session=session)
    assert len(session.done) == 1
    assert session.done[0].endswith(f"{option} in core")
    with pytest.raises(Quit, match="--import and --clean are done alone: nox -s device_tests"):
        run_nox("pipeline", option)


@pytest.mark.parametrize(("device", "installs"), [("app:A1", False), ("desktop", True)])
def test_the_app_has_engines_of_its_own(run_nox, device, installs):
    session = run_nox("device_tests(litert)", "--device", device)
    assert ("install litert" in session.done) == installs
    assert "--runtime litert" in session.done[-1]


def test_what_compares_two_checkouts_and_what_tests_the_android_app_is_installed_first_as_far_as_it_runs(run_nox):
    exports = run_nox("benchmarks(releases)")
    installed = [line.removeprefix("install ") for line in exports.done if line.startswith("install ")]
    assert installed == ["export", "openvino", "ncnn"]
    assert exports.done[-1] == "tests.device_tests.benchmarks.releases in core"
    assert "install litert" in run_nox("benchmarks(releases)", "--run").done
    installs = ["install export", "install litert", "install onnxruntime", "install executorch"]
    assert run_nox("apps(android)", "--test").done == [*installs, "tests.apps.android.app_tests.run in core"]


def test_what_needs_everything_exports_into_the_folder_that_it_was_given(noxfile, run_nox):
    latency = "device_tests latency --only a* --artifacts there in core"
    assert run_nox("latency", "--only", "a*", "--artifacts", "there").done == [
        f"check arguments of {latency}",
        "check arguments of export --artifacts=there in core",
        "install export",
        "export --artifacts=there --list in core",
        "export --artifacts=there in core",
        *(f"install {name}" for name in noxfile.HERE if name not in noxfile.FURTHER),
        latency,
    ]


def test_a_further_engine_or_a_toolchain_of_its_own_is_installed_where_it_is_named_or_needed(noxfile, run_nox):
    named, everything = Session("--runtime", "ncnn"), Session()
    for session in (named, everything):
        noxfile.install_runtimes(session)
    assert "install ncnn" in named.done
    assert "install openvino" not in named.done
    assert everything.done == [f"install {name}" for name in noxfile.HERE]
    assert "install openvino" in everything.done
    listed = "torch_cnn-ncnn-float32\ntorch_cnn-tflite-int8\nfloat32: as trained"
    session = run_nox("export", "--only", "*-ncnn-*", prints=listed)
    assert [line for line in session.done if line.startswith("install")] == ["install export", "install ncnn"]


def test_a_named_runtime_runs_also_where_a_quick_run_would_leave_it_out(run_nox):
    session = run_nox("device_tests(openvino)", "--quick", prints=CELL)
    assert "device_tests run --runtime=openvino --quick --list in core" in session.done
    assert session.done[-1] == "device_tests run --runtime openvino --quick in core"


def test_a_runtime_for_which_the_networks_give_no_artifact_is_no_failure_of_a_run_of_all(run_nox):
    session = run_nox("device_tests(torch)", "--models=mine", prints=CELL, fails=("--runtime=torch",))
    assert session.words == ["Nothing that was asked for runs on torch"]
    assert session.done[-1] == "device_tests run --models=mine --list in core"


def test_options_are_found_with_and_without_an_equals_sign(noxfile):
    arguments = ("--results", "r", "--only", "x", "--artifacts=a=b", "--quick", "--results")
    assert noxfile.options(arguments, "--results", "--artifacts") == ("--results=r", "--artifacts=a=b", "--results=")


def test_a_version_that_cannot_be_installed_keeps_the_others(run_nox):
    session = run_nox("compatibility", prints="old new", fails=("install old",))
    assert "install new" in session.done
    assert "old cannot be installed here" in session.words[0]
    assert session.done[-1] == "device_tests compatibility in core"


def test_a_failed_installation_ends_a_session_with_its_sentence_last(noxfile, monkeypatch):
    monkeypatch.undo()  # the real function
    failure = noxfile.installation.InstallFailed("No CPU build of PyTorch was found: do this.")
    monkeypatch.setattr(noxfile.installation, "ready", raises(failure))
    session = Session()
    with pytest.raises(CommandFailed):
        noxfile.environment(session, "torch")
    assert session.words[-1] == "No CPU build of PyTorch was found: do this."


def test_a_quick_pipeline_says_that_it_leaves_out_the_further_engines(run_nox):
    session = run_nox("pipeline", "--quick")
    assert "export --quick in core" in session.done
    (warning,) = (words for words in session.words if words.startswith("Further engines were left out"))
    assert "--runtime openvino" in warning
    named = run_nox("pipeline", "--quick", "--runtime", "openvino", prints="a-openvino-int8@openvino@desktop")
    complete = run_nox("pipeline")
    for all_engines in (named, complete):
        assert "export in core" in all_engines.done  # else there were none of its artifacts
        assert not any("Further engines" in words for words in all_engines.words)
    for words in ("\n".join(session.words), "\n".join(complete.words)):
        for command in ("nox -s latency", "nox -s instructions", "nox -s explain -- --all --layers"):
            assert command in words, "what was left out is said, and which command does it"


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


def test_pipeline_goes_on_without_the_programs_that_are_missing(run_nox, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    session = run_nox("pipeline")
    assert not any("shipping" in line or "instructions" in line for line in session.done)
    assert session.done[-1] == "device_tests check in core"
    output = "\n".join(session.words)
    assert "apt-get install binutils" in output
    assert "apt-get install qemu-user" in output


@pytest.mark.parametrize(
    ("fails", "steps"), [(("--runtime=torch", "latency"), "device_tests, latency"), (("install vela",), "npu")]
)
def test_a_failed_step_or_installation_of_pipeline_keeps_no_other_step_from_being_done(run_nox, fails, steps):
    session = Session(fails=fails)
    with pytest.raises(Quit, match=f"{steps}. All other steps were done"):
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


def test_pipeline_of_some_cells_installs_and_runs_no_other_runtime_measures_nothing_else_and_says_so(run_nox):
    """The first one asked each runtime alone, which is an error where nothing runs on it: nothing was run at all."""
    prints = "a.py:3: DeprecationWarning: old @ use new\na-tflite-int8@litert@desktop"  # a warning is no cell
    session = run_nox("pipeline", "--quick", "--only", "a-tflite-*@litert@*", prints=prints)
    assert [line for line in session.done if line.startswith("install")] == ["install export", "install litert"]
    (run,) = (line for line in session.done if "device_tests run" in line and "--runtime=" in line)
    assert "--runtime=litert --quick --only a-tflite-*@litert@*" in run
    assert "export a-tflite-* in core" not in session.done  # an option with its value, not a word
    assert any("export --only=a-tflite-*" in line for line in session.done), session.done
    steps = [f"device_tests {name} --only=a-tflite-*@litert@* in core" for name in ("report", "check")]
    assert session.done[-2:] == steps
    assert not any("latency" in line or "explain" in line for line in session.done)
    assert "nox -s explain -- --all" in session.words[-1]
