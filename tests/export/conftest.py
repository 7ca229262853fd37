"""The small network for real conversions, and the command on a lane that answers, fails, dies or hangs as it is told."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from export import planning
from export.__main__ import command
from export.source import Source
from models import data
from models.common import files
from models.common.environments import ROOT
from models.reference import Reference
from tests import interpreters


@pytest.fixture(scope="module")
def source() -> Source:
    return Source("torch_cnn_small", "digits")


@pytest.fixture(scope="module")
def images(source: Source) -> np.ndarray:
    return source.input(data.load("test", "digits").images[:100])


def copied(elsewhere: Path) -> Path:
    """Copy the code to where nobody has seen it."""
    for floor in ("models", "export", "constraints", "tests"):
        shutil.copytree(ROOT / floor, elsewhere / floor, ignore=shutil.ignore_patterns("__pycache__"))
    return elsewhere


def differing(source: Source, folder: Path, elsewhere: Path, written: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return which files of a folder differ from those that another process writes elsewhere, the last one first.

    `written` gives the format and the scheme of each file. That process has a copy of the code and another hash seed,
    and has made two networks already.
    """
    program = (
        f"from pathlib import Path; from export.formats import FORMATS; from {type(source).__module__} import *\n"
        f"source = {type(source).__name__}({source.model!r}, 'digits')\n"
        "source.network, source.fresh_network()\n"
        f"for name, (format_name, scheme) in {[*reversed(written.items())]}:\n"
        "    FORMATS[format_name].convert(source, scheme, Path(name))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(copied(elsewhere)), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=elsewhere, env=environment, check=True)
    return [name for name in written if files.sha256(folder / name) != files.sha256(elsewhere / name)]


def of_the_test_images(**facts) -> Reference:
    """Return a reference of torch_cnn_small on MNIST's test images, with random logits."""
    digits = data.load("test")
    logits = np.random.default_rng(0).normal(size=(len(digits), 10)).astype(np.float32)
    complete = {"images": digits.images, "labels": digits.labels, "logits": logits, "dataset_sha256": digits.sha256}
    return Reference(**{"model": SMALL, "dataset": "mnist", "checkpoint_sha256": "c" * 64} | complete | facts)


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """Return the names of the inputs that are others than they were, came or went."""
    return {name for name, _ in then.items() ^ now.items()}


SMALL = "torch_cnn_small"


def start(folder: Path, *only: str, options: tuple[str, ...] = (), code: Path = ROOT, **more: str) -> subprocess.Popen:
    """Start to export the small model's recipes into a folder; `more` is its environment's."""
    globs = [f"--only={SMALL}-{glob}" for glob in only]
    command = [sys.executable, "-m", "export", *globs, *options, f"--artifacts={folder}", f"--logs={folder / 'logs'}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=code, env=os.environ | more, **pipes)


def finished(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every artifact of the small model, as the command exports them."""
    folder = tmp_path_factory.mktemp("small")
    finished(start(folder, "*"))
    return folder


def model_of(nodes, shapes=((1,), (1,)), constants=None):
    """Return a model of nodes from `image` to `logits`, of these two shapes, with constants by name."""
    from onnx import TensorProto, helper, numpy_helper

    ends = zip(("image", "logits"), shapes, strict=True)
    image, logits = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends)
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    operators = [helper.make_node(*node, **more) for *node, more in nodes]
    graph = helper.make_graph(operators, "g", [image], [logits], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


# Stands where `python -m export.lane` runs; BEHAVIOUR says what to do at a scheme, once per start.
LANE = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from msgspec.structs import replace
from pathlib import Path
from export import artifact as artifacts
from export.artifact import Artifact, Dataset, Golden
from export.contract import Tensor
from models.common import files
print("a library's chatter", file=sys.stderr)
def emit(**event): print(json.dumps(event), flush=True)
def units():
    for line in sys.stdin:
        job = json.loads(line)
        with open({starts!r}, "a") as starts: print(os.getpid(), job["model"], file=starts)
        emit(event="begins", id=job["model"] + ".reference")
        emit(event="prepared", spent={{"load": 1.5}})
        for wanted in job["recipes"]: yield job, wanted
        emit(event="done")
        if {behaviour!r}.get("ends after") == job["model"]: sys.exit(3)
for job, wanted in units():
    folder = Path(job["folder"])
    recipe = wanted["recipe"]
    id = "-".join(recipe[k] for k in ("model", "format", "scheme"))
    emit(event="begins", id=id)
    does = {behaviour!r}.get(recipe["scheme"], "ok")
    does = {behaviour!r}.get(job["model"], does)
    if does == "half":
        (folder / f".{{id}}.{{os.getpid()}}.tmp.onnx").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "chatter": print("a library's chatter where events go", flush=True)
    if does == "bytes": os.write(1, b"\\xff\\xfe\\n")
    if does == "list": print("[1]", flush=True)
    if does == "foreign": emit(event="ended", id="keras_cnn-onnx-int8")
    ends = {{"full": ("StorageError", "Cannot write x: the disk is full."), "broken": ("", "the checkpoint is of another network")}}
    if does in ends:
        emit(event="broken", kind=ends[does][0], reason=ends[does][1])
        sys.exit(0)
    if does == "silent":
        emit(event="ended", id=id)
        continue
    if does == "crash on trial": emit(event="written", id=id)
    if does.startswith("crash") and does != "crash once": os.kill(os.getpid(), signal.SIGSEGV)
    once = Path({starts!r} + ".once")
    if does == "crash once" and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if does == "exit": sys.exit(3)
    if does == "hang": time.sleep(600)
    made = Artifact(id=id, framework="torch", key=wanted["key"], **recipe, notes=("unchanged",) if wanted["unchanged"] else ())
    if does in ("ok", "crash once"):
        file = folder / (id + ".onnx")
        file.write_bytes(id.encode())
        made = replace(made, file=file.name, sha256=files.sha256(file), size_bytes=len(id), dataset=Dataset(name=job["dataset"]),
                       inputs=(Tensor(name="i", shape=(1,), dtype="float32"),), outputs=(Tensor(name="o", shape=(1,), dtype="float32"),),
                       golden=(Golden(index=0, label=0, image_u8="", logits=(0.0,)),))
    else:
        made = replace(made, outcome=does, reason="as the toolchain says it")
    artifacts.save(made, folder)
    emit(event="ended", id=id)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def export(tmp_path, monkeypatch, idx_folder, folder, capsys) -> Callable[..., str]:
    """Return a function that runs the command on torch_cnn's five ONNX recipes, with the lane behaving as given.

    Behaviours are by scheme, or by model for all of its recipes. It returns what is printed, as one line, or raises.
    """
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))
    monkeypatch.setattr(planning, "_reference_is_current", lambda *_: True)

    def export(behaviour: dict[str, str] | None = None, *more: str) -> str:
        script = tmp_path / "lane.py"
        script.write_text(LANE.format(root=str(ROOT), behaviour=behaviour or {}, starts=str(tmp_path / "starts")))
        tell = f"echo $KERAS_HOME > {tmp_path}/keras_home"
        interpreters.install(tmp_path / "envs", "export", arguments=str(script), before=tell)
        arguments = ["--only", "torch_cnn-onnx-*", "--artifacts", str(folder), "--logs", str(tmp_path / "logs"), *more]
        command.main(arguments, standalone_mode=False)
        return printed(capsys)

    return export


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed since, as one line."""
    return " ".join(" ".join(capsys.readouterr()).split())
