"""A bench of one's own: a tiny matrix, real artifacts of a linear network, and runtimes that misbehave as told."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pytest

import device_tests.onboard.runtimes
from device_tests import devices, machine_lock
from device_tests.__main__ import group
from device_tests.cells import cells, select
from device_tests.contract import DESKTOP
from device_tests.measure.runner import Bench, Ended, run
from device_tests.onboard import worker
from device_tests.results.measurement import Measurement
from device_tests.results.placements import Placement
from device_tests.results.row import Row
from device_tests.results.shipping import Footprint
from device_tests.rows import cells_with_results, load, rows
from export import artifact as artifacts
from export import matrix
from export.artifact import Artifact
from models import reference
from models.common import environments, files
from models.common.errors import EnvironmentMissing
from models.images import network_input
from models.reference import Reference
from tests import interpreters, programs

MODEL = "torch_cnn_small"
ID = f"{MODEL}-torchscript-float32"
IMAGES = 200
ENVIRONMENT = {"cpu": "a CPU", "cpus": 2, "os": "an OS", "python": "3.11", "date": "2026-01-02T03:04:05+00:00"}
LIMITS = '[[budget]]\nids = ["*"]\nmetric = "outcome"\nis = "{}"\nwhy = "because"\n'
GARBAGE = "def answer(logits):\n    return np.roll(logits, 1)"


# A runtime whose artifact is a saved matrix [H*W*C,K]; each fake replaces some of these lines.
RUNTIME = """
import os, signal, subprocess, sys, time
import numpy as np

suffixes = (".pt",)
eager = ""
distributions = ("numpy",)
refusals = ("does not know the op",)
calls = 0

def start(threads):
    return threads

def load(path, threads):
    with open(path, "rb") as file:
        weights = np.load(file, allow_pickle=False)
    def infer(image):
        global calls
        calls += 1
        return answer(image.reshape(len(image), -1) @ weights)
    return infer

def answer(logits):
    return logits
"""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where a test's runtimes, environments, artifacts and results are."""

    runtimes: Path
    environments: Path
    bench: Bench

    @property
    def artifact(self) -> Artifact:
        return artifacts.read(artifacts.sidecar_path(self.bench.artifacts, ID))

    def runtime(self, name: str, code: str = "") -> str:
        """Install a runtime whose module ends with `code`, which replaces functions of the honest one."""
        (self.runtimes / f"{name}.py").write_text(f"{RUNTIME}\n{code}\n")
        interpreters.install(self.environments, name)
        return name

    def make_emulable(self, runtime: str) -> None:
        """Make a runtime's interpreter a program, not a script, which qemu cannot emulate."""
        home = self.environments / runtime
        self.uninstall(runtime)
        (home / "bin" / "python").symlink_to(sys.executable)
        if not (home / "lib").exists():
            (home / "lib").symlink_to(Path(sys.prefix) / "lib")
            shutil.copy(Path(sys.prefix) / "pyvenv.cfg", home)

    def uninstall(self, runtime: str) -> None:
        (self.environments / runtime / "bin" / "python").unlink()

    def run(
        self, *patterns: str, where: Iterable[str] = (), on_ended: Callable = lambda end: None, jobs: int = 2, **changes
    ) -> dict[str, Ended]:
        """Run the cells of the installed runtimes; return what the callback heard, by cell."""
        ends: dict[str, Ended] = {}

        def ended(end: Ended) -> None:
            ends[end.measurement.id] = end
            on_ended(end)

        chosen = select(cells(*where), runtimes=(), patterns=patterns)
        run(chosen, replace(self.bench, **changes), jobs=jobs, begins=lambda id: None, ended=ended)
        return ends

    def row(self, runtime: str, **changes) -> Measurement:
        id = f"{ID}@{runtime}@desktop"
        return self.run(id, **changes)[id].measurement


@pytest.fixture(autouse=True)
def _own_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock of its own: other runs on this machine do not hold up the tests, nor they them."""
    folder = tmp_path_factory.getbasetemp() / "machine"
    monkeypatch.setattr(machine_lock, "folder", lambda: folder)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    """Folders with one good artifact and no runtime yet."""
    place = {name: tmp_path / name for name in ("artifacts", "results")}
    bench = Bench(**place, quick=False, force=False, timeout_s=20)
    built = Folders(runtimes=tmp_path / "runtimes", environments=tmp_path / "envs", bench=bench)
    built.runtimes.mkdir()
    monkeypatch.setenv("EDGEWISE_ENVS", str(built.environments))
    monkeypatch.setattr(device_tests.onboard.runtimes, "__path__", [str(built.runtimes)])
    for name in _loaded_runtimes():
        monkeypatch.delitem(sys.modules, name)  # a module of the same name may have been another test's
    monkeypatch.setattr(matrix, "MATRIX", {"torch": {"torchscript": ("float32", "int8")}, "keras": {}})

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 28, 28), np.uint8)
    weights = rng.normal(size=(784, 10)).astype(np.float32)
    logits = network_input(images, "hw").reshape(-1, 784) @ weights
    labels = logits.argmax(1).astype(np.uint8)
    labels[:10] = (labels[:10] + 1) % 10  # the float source is wrong on ten
    save_reference(built.bench.artifacts, images=images, labels=labels, logits=logits)
    golden = [
        {"image_u8": base64.b64encode(image.tobytes()).decode(), "logits": answer.tolist()}
        for image, answer in zip(images[:4], logits[:4], strict=True)
    ]
    save_artifact(built.bench.artifacts, weights, golden=golden)
    yield built
    devices.device(DESKTOP).starter.close()
    for name in _loaded_runtimes():
        del sys.modules[name]  # a fake, which the next test would take for the real one; monkeypatch puts those back


def _loaded_runtimes() -> list[str]:
    return [name for name in sys.modules if name.startswith("device_tests.onboard.runtimes.")]


def artifact(id: str = ID, **facts) -> Artifact:
    """Return an artifact that was made; facts may be given as JSON has them."""
    model, format_name, scheme = id.split("-")
    tensors = ({"name": "t", "shape": (1, 2), "dtype": "float32"},)
    complete = {
        **{"id": id, "model": model, "framework": "torch", "format": format_name, "scheme": scheme, "key": "k"},
        **{"file": "f", "sha256": "a" * 64, "size_bytes": 1, "inputs": tensors, "outputs": tensors},
    }
    return msgspec.convert({**complete, **facts}, Artifact, strict=True, from_attributes=True)


def footprint(runtime: str, **facts) -> Footprint:
    bytes_ = {"model_bytes": 1, "library_bytes": 9, "stripped_bytes": 8, "compressed_bytes": 100, "peak_rss_bytes": 5}
    complete = {"artifact": ID, "libraries": 1, **bytes_, "cold_start_s": 1.0, "elsewhere": ""}
    return Footprint(runtime=runtime, **{**complete, **facts})


def placement(artifact: str = ID, **facts) -> Placement:
    complete = {"key": "k", "runtime": "torch", "versions": {}, "library": "", "instruction_sets": (), "parts": ()}
    return Placement(artifact=artifact, **{**complete, "delegate": "", "operators": (), **facts})


def save_reference(folder: Path, dataset: str = "mnist", **parts) -> Reference:
    built = Reference(model=MODEL, dataset=dataset, dataset_sha256="d" * 64, checkpoint_sha256="c" * 64, **parts)
    reference.save(built, reference.path(folder, MODEL))
    return built


def save_tflite(folder: Path, images: int) -> Reference:
    """Write an int8 artifact that nobody runs and its reference, whose logits are random; return the reference."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(images, 10)).astype(np.float32)
    pixels = rng.integers(0, 256, (images, 28, 28), np.uint8)
    built = save_reference(folder, images=pixels, labels=logits.argmax(1).astype(np.uint8), logits=logits)
    save_artifact(folder, logits, f"{MODEL}-tflite-int8.tflite", compressed_bytes=20_000)
    return built


def save_artifact(folder: Path, weights: np.ndarray, name: str = f"{ID}.pt", **facts) -> Artifact:
    file = folder / name
    with file.open("wb") as out:
        np.save(out, weights)
    complete = {
        "file": name,
        "sha256": files.sha256(file),
        "size_bytes": files.size_bytes(file),
        "compressed_bytes": files.size_bytes(file),
        "inputs": ({"name": "image", "shape": (1, 1, 28, 28), "dtype": "float32"},),
        "outputs": ({"name": "logits", "shape": (1, 10), "dtype": "float32"},),
        "layout": "chw",
        "dataset": {"name": "mnist", "split": "test", "sha256": "d" * 64, "images": IMAGES},
        "checkpoint_sha256": "c" * 64,
    }
    saved = artifact(file.stem, **{**complete, **facts})
    artifacts.save(saved, folder)
    return saved


def type_in(*arguments: object) -> int:
    """Type a command, and return its exit code."""
    return group.main([*map(str, arguments)], standalone_mode=False) or 0


@pytest.fixture
def command(folders: Folders, tmp_path: Path) -> Callable[..., int]:
    """Return a function that types a command with this test's folders and returns its exit code."""
    budgets = tmp_path / "budgets.toml"
    budgets.write_text(LIMITS.format("ok"))

    def with_places(name: str, *arguments: str) -> int:
        places = {"artifacts": folders.bench.artifacts, "results": folders.bench.results}
        places |= {"budgets": budgets} if name in ("run", "check") else {}
        options = [part for place, path in places.items() for part in (f"--{place}", str(path))]
        return type_in(name, *options, *arguments)

    return with_places


@pytest.fixture
def changed_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Return a function that replaces text in one of the worker's files, for the workers of this test."""
    folder = tmp_path / "onboard"

    def change(name: str, before: str, after: str) -> None:
        if not folder.exists():
            shutil.copytree(Path(worker.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
            monkeypatch.setattr(worker, "__file__", str(folder / "worker.py"))
        file = folder / f"{name}.py"
        code = file.read_text()
        assert before in code
        file.write_text(code.replace(before, after))

    return change


def measured(scheme: str = "float32", runtime: str = "torch", format_name: str = "torchscript", **facts) -> Row:
    """Return a row as a worker gives it; facts may be given as JSON has them."""
    complete = {
        **{"artifact": f"{MODEL}-{format_name}-{scheme}", "runtime": runtime, "device": "desktop"},
        "outcome": "ok",
        "dataset": {"name": "mnist"},
        "size_bytes": 1_000,
        "compressed_bytes": 900,
        "total": 10_000,
        "correct": 9_900,
        "agree": 10_000,
        "lost": 0,
        "gained": 0,
        "max_abs_error": 1e-5,
        "load_ns": 10**6,
        "latencies_ns": (100_000,) * 9 + (200_000,),
        "threads": 1,
        "environment": ENVIRONMENT,
    }
    return msgspec.convert({**complete, **facts}, Row, strict=True, from_attributes=True)


def joined(artifacts: Path, results: Path, *devices: str) -> tuple[Row, ...]:
    """Return the rows of what is stored, as the report and the check have them."""
    stored = load(results)
    return rows(cells_with_results(stored, devices), stored, artifacts_folder=artifacts, results_folder=results)


def raises(error: BaseException) -> Callable[..., NoReturn]:

    def function(*_, **__) -> NoReturn:
        raise error

    return function


def running(folder: Path) -> list[str]:
    """Return the command lines of the other processes that name a folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if str(folder).encode() in line and process.name != str(os.getpid()):
            lines.append(line.replace(b"\0", b" ").decode())
    return lines


def need_environment(name: str) -> Path:
    """Return the interpreter of an installed environment; skip the test where there is none."""
    try:
        return environments.python(name, install="nox")
    except EnvironmentMissing as error:
        programs.absent(str(error))


def run_module(name: str, *arguments: object, code: int = 0) -> str:
    """Run a module of ours in a process of its own, as a person would; return what it said."""
    command = [sys.executable, "-m", name, *map(str, arguments)]
    done = subprocess.run(command, cwd=environments.ROOT, capture_output=True, text=True, timeout=900)
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    return output


def export(folder: Path, *ids: str) -> Path:
    """Export artifacts into a folder; return the folder."""
    run_module("export", *(f"--only={id}" for id in ids), "--artifacts", folder, "--logs", folder / "logs")
    return folder
