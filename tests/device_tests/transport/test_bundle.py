"""Bundles: what decides their content, how they are started, and what is said where one cannot be made."""

import json
import os
import subprocess
from dataclasses import replace

import pytest

from device_tests.transport import bundle
from device_tests.transport.bundle import debian, executorch, wheels
from models.common import environments, files
from models.common.errors import DataError, EnvironmentMissing
from tests import programs
from tests.conftest import zipped


@pytest.fixture
def built(tmp_path):
    """Return a bundle with two runtimes, as its manifest describes it."""
    sites = {"litert": ["ai_edge_litert-2.3.0", "numpy-2.4.6"], "tflite_runtime": ["numpy-1.26.4"]}
    content = {"abi": "arm64", "digest": "d" * 64, "packages": ["libc6=2.36-9"], "sites": sites}
    (tmp_path / bundle.MANIFEST).write_text(json.dumps(content))
    return bundle.load(tmp_path)


def test_a_bundle_starts_its_own_loader_with_each_runtimes_own_numpy_wherever_it_lies(built):
    home = "/data/local/tmp/edgewise"
    command = built.command("litert", root=home)
    loader = f"{home}/lib/ld-linux-aarch64.so.1 --library-path {home}/lib {home}/usr/bin/python3.11"
    assert command.argv[:4] == tuple(loader.split())
    assert command.env["PYTHONHOME"] == f"{home}/usr"
    assert command.env["PYTHONPATH"] == f"{home}/site/ai_edge_litert-2.3.0:{home}/site/numpy-2.4.6"
    assert built.command("tflite_runtime").env["PYTHONPATH"].endswith("numpy-1.26.4")
    assert built.pins("tflite_runtime") == ("libc6=2.36-9", "numpy-1.26.4")  # which a result's key holds


def test_other_pins_make_another_bundle_and_what_there_is_none_for_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    pins = tmp_path / "constraints" / "litert.txt"
    paths = []
    for version in ("2.3.0", "2.3.0", "2.4.0"):
        files.write_bytes(pins, f"ai-edge-litert=={version}\n".encode())
        paths.append(bundle.path("arm64", ("litert",)))
    assert paths[0] == paths[1] != paths[2] != bundle.path("x86_64", ("litert",))
    with pytest.raises(DataError, match="python -m device_tests bundle"):
        bundle.load(tmp_path)


def test_without_a_cross_compiler_only_executorch_is_left_out_and_it_says_what_to_install(built, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bundle.available("arm64") == tuple(name for name in bundle.RUNTIMES if name != "executorch")
    with pytest.raises(EnvironmentMissing, match="sudo apt-get install g\\+\\+-aarch64-linux-gnu"):
        bundle.require("arm64", "executorch")
    without = bundle.path("arm64")
    compiler = tmp_path / "aarch64-linux-gnu-g++"
    compiler.touch(mode=0o755)
    assert bundle.available("arm64") == bundle.RUNTIMES
    assert bundle.path("arm64") != without
    assert "torch" not in bundle.program("executorch").read_text().split("import ")
    assert bundle.program("litert").name == "litert.py"
    own = replace(built, packages=(), sites={"executorch": ("executorch-1.5.1",)})
    assert len(own.pins("executorch")) == 3  # its code is part of a result's key


def test_what_is_missing_to_build_a_bundle_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "executorch" / "include").mkdir(parents=True)
    programs.script(tmp_path / "x86_64-linux-gnu-g++", "echo 'fatal error: module.h: No such file' >&2\nexit 1")
    with pytest.raises(EnvironmentMissing, match="does not compile executorch.cpp: fatal error: module.h"):
        executorch.compile_interface(tmp_path, "x86_64-linux-gnu")
    missing = 'echo "E: Unable to locate package python3.11-minimal" >&2; exit 100'
    programs.script(tmp_path / "apt-get", f'case "$*" in *download*) {missing};; esac')
    with pytest.raises(EnvironmentMissing, match=r"Unable to locate package python3.11-minimal.*bookworm.*APT_CONFIG"):
        debian.download(tmp_path / "packages", "arm64", debian.PACKAGES)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentMissing, match="no apt-get. Build it on Debian"):
        bundle.build("arm64")
    assert not list((tmp_path / "cache").rglob(bundle.MANIFEST))


def test_a_wheel_is_unpacked_once_and_without_what_no_inference_loads(tmp_path):
    wheel = tmp_path / "some_runtime-1.0-py3-none-any.whl"
    names = ("__init__.py", "tests/test_it.py", "api.h", "it.pyi")
    zipped(wheel, {f"some_runtime/{name}": "" for name in names})
    assert wheels.unpack(wheel, tmp_path / "site") == "some_runtime-1.0"
    folder = tmp_path / "site" / "some_runtime-1.0"
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")] == ["some_runtime/__init__.py"]
    (folder / "mark.txt").touch()
    wheels.unpack(wheel, tmp_path / "site")
    assert (folder / "mark.txt").exists()


def test_wheels_for_the_c_library_of_the_bundle_are_taken_and_converters_are_not(tmp_path, monkeypatch):
    commands = []

    def download(command, **_):
        commands.extend(map(str, command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(wheels.subprocess, "run", download)
    pins = tmp_path / "ncnn.txt"
    pins.write_text("# written by: nox -s lock\nncnn==1.0\nnumpy==2.4.6\npnnx==1\n")
    assert wheels.install(tmp_path / "site", pins, machine="aarch64") == ()
    assert commands[-2:] == ["ncnn==1.0", "numpy==2.4.6"]  # pnnx is 85 MB, and runs here only
    assert "manylinux_2_35_aarch64" in commands  # which OpenVINO asks for


@pytest.mark.needs("apt-get")
@pytest.mark.slow
def test_a_bundle_is_the_same_when_built_again_and_runs_each_runtime_from_its_own_files(tmp_path, monkeypatch):
    built = []
    for name in ("one", "another"):
        monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / name))
        built.append(bundle.build("x86_64"))
    assert built[0].digest == built[1].digest
    assert not [path for path in built[0].path.rglob("*") if path.is_symlink()]
    for runtime in built[0].runtimes:
        command = built[0].command(runtime)
        program = (
            f"import runpy, sys, numpy\nthreads = runpy.run_path({str(bundle.program(runtime))!r})['start'](1)\n"
            "files = [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]\n"
            "print(threads or 1, *(f for f in files if not f.startswith(sys.argv[1])))"
        )
        argv = [*command.argv, "-c", program, str(built[0].path)]
        done = subprocess.run(argv, env=command.env, capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
