"""What the sessions do, in which order; a stand-in is imported for nox, which the environment `core` does not hold.

What nox itself does with the sessions is seen in CI, which types each of them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from device_tests.onboard.runtimes import RUNTIMES

ROOT = Path(__file__).parents[1]


CELLS = " ".join(f"a@{name}@desktop" for name in RUNTIMES.names())


class CommandFailed(Exception):
    """As nox.command has it."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class Quit(Exception):
    """What session.error ends a session with."""


class Session:
    """Writes down what is run and installed; `fails` and `prints` say of commands how they end and what they print."""

    def __init__(self, *posargs: str, fails: tuple[str, ...] = (), prints: str = CELLS) -> None:
        self.posargs, self.fails, self.prints = list(posargs), fails, prints
        self.done: list[str] = []
        self.words: list[str] = []

    def run(self, *command: str, env=None, silent: bool = False, log: bool = True) -> str | bool:
        environment, _, *arguments = command
        checks = "check arguments of " if env else ""
        line = f"{checks}{' '.join(arguments)} in {environment}"
        self.done.append(line)
        if any(failing in line for failing in self.fails):
            raise CommandFailed
        return self.prints if silent else True

    def log(self, text: str) -> None:
        self.words.append(text)

    warn = log

    def error(self, text: str) -> None:
        raise Quit(text)


@pytest.fixture
def noxfile(monkeypatch) -> ModuleType:
    """The noxfile, whose environments are installed by writing that down."""

    def parametrize(name: str, values: list) -> Callable:
        return lambda function: function

    nox = ModuleType("nox")
    nox.options = SimpleNamespace()
    nox.session = lambda function: function
    nox.parametrize, nox.param = parametrize, lambda value, id: value
    nox.command = SimpleNamespace(CommandFailed=CommandFailed)
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile_under_test", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def environment(session: Session, name: str) -> str:
        if name != "core":
            session.done.append(f"install {name}")
        return name

    monkeypatch.setattr(module, "environment", environment)
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return module


# Each session that installs or exports, with what it runs; typed with a mistake in its arguments.
SESSIONS = {
    "export": ("export", {}),
    "train": ("models", {}),
    "device_tests": ("RUN", {"runtime": "litert"}),
    "devices-arm64": ("arm64", {"device": "arm64"}),
    "devices-ssh": ("ssh", {"device": "ssh"}),
    "devices-android": ("android", {"device": "android"}),
    "devices-android-vm": ("android-vm", {"device": "android-vm"}),
    "latency": ("LATENCY", {}),
    "instructions": ("INSTRUCTIONS", {}),
    "benchmarks": ("BENCHMARKS", {}),
    "explain": ("EXPLAIN", {}),
    "compatibility": ("COMPATIBILITY", {}),
    "fuzz": ("FUZZ", {}),
    "shipping": ("SHIPPING", {}),
    "npu": ("NPU", {}),
    "pipeline": ("RUN", {}),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_mistyped_argument_ends_a_session_before_anything_is_installed_or_exported(noxfile, name):
    key, parameters = SESSIONS[name]
    module = " ".join(noxfile.DEVICES.get(key) or (getattr(noxfile, key) if key.isupper() else (key,)))
    session = Session("--typo", fails=("--typo",))
    with pytest.raises(CommandFailed):
        getattr(noxfile, name.partition("-")[0])(session, **parameters)
    assert session.done == [f"check arguments of {module} --typo in core"]


@pytest.mark.parametrize("name", SESSIONS)
def test_what_a_session_runs_ends_once_its_arguments_were_looked_at(noxfile, name):
    """Else it would work in the smallest environment first, where nothing that it needs is installed."""
    key = SESSIONS[name][0]
    module = noxfile.DEVICES.get(key) or (getattr(noxfile, key) if key.isupper() else (key,))
    needed = {"EXPLAIN": ("--all",), "ssh": ("--device", "ssh:nobody@nowhere.invalid")}.get(key, ())
    command = (sys.executable, "-m", *module, *needed)
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **noxfile.ONLY_PARSE}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("option", ["--import=saved.json", "--clean"])
def test_what_needs_no_runtime_is_done_once_and_installs_none(noxfile, option):
    session = Session(option)
    for runtime in RUNTIMES.names():
        noxfile.device_tests(session, runtime=runtime)
    assert len(session.done) == 1
    assert session.done[0].endswith(f"{option} in core")


@pytest.mark.parametrize(("device", "installs"), [("app:A1", False), ("desktop", True)])
def test_the_app_has_engines_of_its_own(noxfile, device, installs):
    session = Session("--device", device)
    noxfile.device_tests(session, runtime="litert")
    assert ("install litert" in session.done) == installs
    assert "--runtime litert" in session.done[-1]


def test_the_tests_of_the_android_app_install_the_runtimes_that_answer_in_them(noxfile):
    session = Session("--test")
    noxfile.apps(session, app="android")
    assert session.done[:-1] == ["install litert", "install onnxruntime", "install executorch"]
    assert session.done[-1] == "apps.android --test in core"


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("asked", ["--list", "--help"])
def test_a_list_and_help_install_nothing(noxfile, name, asked):
    session = Session(asked)
    getattr(noxfile, name.partition("-")[0])(session, **SESSIONS[name][1])
    (line,) = session.done
    assert line.endswith(f"{asked} in core")
    assert not line.startswith("check")


def test_what_needs_everything_exports_into_the_folder_that_it_was_given(noxfile):
    session = Session("--only", "a*", "--artifacts", "there")
    noxfile.latency(session)
    latency = "device_tests latency --only a* --artifacts there in core"
    assert session.done == [
        f"check arguments of {latency}",
        "check arguments of export --artifacts=there in core",
        "install export",
        "export --artifacts=there --list in core",
        "export --artifacts=there in core",
        *(f"install {name}" for name in noxfile.HERE if name not in noxfile.FURTHER),
        latency,
    ]


def test_a_further_engine_is_installed_where_it_is_named_and_where_everything_is_asked_for(noxfile):
    named, everything = Session("--runtime", "ncnn"), Session()
    for session in (named, everything):
        noxfile.install_runtimes(session)
    assert "install ncnn" in named.done
    assert "install openvino" not in named.done
    assert everything.done == [f"install {name}" for name in noxfile.HERE]
    assert "install openvino" in everything.done


def test_a_toolchain_of_its_own_is_installed_only_for_its_own_artifacts(noxfile):
    session = Session("--only", "*-ncnn-*", prints="torch_cnn-ncnn-float32\ntorch_cnn-tflite-int8\nfloat32: as trained")
    noxfile.export(session)
    assert [line for line in session.done if line.startswith("install")] == ["install export", "install ncnn"]


def test_a_named_runtime_runs_also_where_a_quick_run_would_leave_it_out(noxfile):
    session = Session("--quick", prints="a-onnx-int8@openvino@desktop")
    noxfile.device_tests(session, runtime="openvino")
    assert "device_tests run --runtime=openvino --quick --list in core" in session.done
    assert session.done[-1] == "device_tests run --runtime openvino --quick in core"


def test_a_quick_pipeline_says_that_it_leaves_out_the_further_engines(noxfile):
    session = Session("--quick")
    noxfile.pipeline(session)
    assert "export --quick in core" in session.done
    (said,) = (words for words in session.words if words.startswith("Further engines were left out"))
    assert "--runtime openvino" in said
    named = Session("--quick", "--runtime", "openvino", prints="a-openvino-int8@openvino@desktop")
    noxfile.pipeline(named)
    assert "export in core" in named.done  # else there were none of its artifacts
    assert not any("Further engines" in words for words in named.words)
    whole = Session()
    noxfile.pipeline(whole)
    assert not any("Further engines" in words for words in whole.words)
    assert "export in core" in whole.done


def test_options_are_found_with_and_without_an_equals_sign(noxfile):
    arguments = ("--results", "r", "--only", "x", "--artifacts=a=b", "--quick", "--results=s")
    assert noxfile.options(arguments, "--results", "--artifacts") == ("--results=r", "--artifacts=a=b", "--results=s")
    assert noxfile.options(("--results",), "--results") == ("--results=",)
    assert noxfile.options((), "--results") == ()


def test_pipeline_hands_its_folders_to_every_step(noxfile):
    session = Session("--results", "R", "--artifacts=A", "--budgets", "B")
    noxfile.pipeline(session)
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


def test_pipeline_of_a_users_own_networks_hands_their_folder_to_every_step(noxfile, tmp_path):
    session = Session("--models", str(tmp_path), "--quick")
    noxfile.pipeline(session)
    runs = [line for line in session.done if not line.startswith("install")]
    assert all(f"--models={tmp_path}" in line or f"--models {tmp_path}" in line for line in runs), runs
    (shipping,) = (line for line in runs if "shipping" in line)
    assert f"--out={tmp_path}/results/shipping.json" in shipping
    assert any("instructions" in line and "--only=*-tflite-int8@litert@*" in line for line in runs)


def test_pipeline_says_what_it_left_out_and_which_command_does_it(noxfile):
    for arguments in ((), ("--quick",)):
        session = Session(*arguments)
        noxfile.pipeline(session)
        said = "\n".join(session.words)
        for command in ("nox -s latency", "nox -s instructions", "nox -s explain -- --all --layers"):
            assert command in said


def test_pipeline_goes_on_without_the_programs_that_are_missing(noxfile, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    session = Session()
    noxfile.pipeline(session)
    assert not any("shipping" in line or "instructions" in line for line in session.done)
    assert session.done[-1] == "device_tests check in core"
    said = "\n".join(session.words)
    assert "apt-get install binutils" in said
    assert "apt-get install qemu-user" in said


def test_pipeline_of_some_cells_measures_nothing_else_and_says_so(noxfile):
    session = Session("--only", "torch_cnn_small-*")
    noxfile.pipeline(session)
    only = "--only=torch_cnn_small-*"
    steps = [f"device_tests report {only}", f"device_tests check {only}"]
    assert [line.split(" in ")[0] for line in session.done[-2:]] == steps
    assert not any("latency" in line or "explain" in line for line in session.done)
    assert "nox -s explain -- --all" in session.words[-1]


def test_a_failed_step_of_pipeline_keeps_no_other_from_being_done(noxfile):
    session = Session(fails=("--runtime=torch", "latency"))
    with pytest.raises(Quit, match="device_tests, latency. All other steps were done"):
        noxfile.pipeline(session)
    assert session.done[-1] == "device_tests check in core"


def test_a_version_that_cannot_be_installed_keeps_the_others(noxfile, monkeypatch):
    installed = noxfile.environment

    def environment(session: Session, name: str) -> str:
        if name == "old":
            raise CommandFailed
        return installed(session, name)

    monkeypatch.setattr(noxfile, "environment", environment)
    session = Session(prints="old new")
    noxfile.compatibility(session)
    assert "install new" in session.done
    assert "old cannot be installed here" in session.words[0]
    assert session.done[-1] == "device_tests compatibility in core"


def test_a_failed_installation_ends_a_session_with_its_sentence_last(noxfile, monkeypatch):
    monkeypatch.undo()  # the real function

    def ready(*_: object, **__: object) -> Path:
        raise noxfile.installation.InstallFailed("No CPU build of PyTorch was found: do this.")

    monkeypatch.setattr(noxfile.installation, "ready", ready)
    session = Session()
    with pytest.raises(CommandFailed):
        noxfile.environment(session, "torch")
    assert session.words[-1] == "No CPU build of PyTorch was found: do this."


def test_pipeline_keeps_latencies_that_took_longer(noxfile, tmp_path):
    """A full run of `nox -s latency` is half an hour's work."""
    (tmp_path / "latency").mkdir()
    (tmp_path / "latency" / "litert@desktop.json").write_text('{"limit_s": 60.0}')
    (tmp_path / "latency" / "onnxruntime@desktop.json").write_text('{"limit_s": 1.0}')
    session = Session("--results", str(tmp_path))
    noxfile.pipeline(session)
    (line,) = [line for line in session.done if "latency" in line]
    assert "--runtime=onnxruntime" in line
    assert "--runtime=litert " not in line


def test_pipeline_of_a_folder_without_networks_of_a_framework_installs_and_runs_no_runtime_of_its(noxfile):
    """The first one asked each runtime alone, which is an error where nothing runs on it: nothing was run at all."""
    session = Session("--quick", "--only", "a-tflite-*@litert@*", prints="a-tflite-int8@litert@desktop")
    noxfile.pipeline(session)
    assert [line for line in session.done if line.startswith("install")] == ["install export", "install litert"]
    (run,) = (line for line in session.done if "device_tests run" in line and "--runtime=" in line)
    assert "--runtime=litert --quick --only a-tflite-*@litert@*" in run
    assert "export a-tflite-* in core" not in session.done  # an option with its value, not a word
    for step in ("export --only=a-tflite-*", "report --only=a-tflite-*@litert@*", "check --only=a-tflite-*@litert@*"):
        assert any(step in line for line in session.done), (step, session.done)


def test_a_warning_among_the_cells_is_no_cell(noxfile):
    session = Session(prints="a.py:3: DeprecationWarning: old @ use new\na-tflite-int8@litert@desktop")
    assert noxfile.asked_for(session) == ("litert",)


def test_pipeline_reports_and_checks_also_where_an_environment_cannot_be_installed(noxfile, monkeypatch):
    installed = noxfile.environment

    def environment(session: Session, name: str) -> str:
        if name == "vela":
            raise CommandFailed
        return installed(session, name)

    monkeypatch.setattr(noxfile, "environment", environment)
    session = Session()
    with pytest.raises(Quit, match="npu. All other steps were done"):
        noxfile.pipeline(session)
    assert any("check" in line for line in session.done)
