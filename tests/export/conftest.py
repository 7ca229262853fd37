"""The command on a lane that does as it is told: answers, fails, dies, hangs. No framework is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from export import planning
from export.__main__ import command
from models.environments import ROOT
from tests import interpreters

# Stands where `python -m export.lane` runs; BEHAVIOUR says what to do at a scheme, once per start.
LANE = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from msgspec.structs import replace
from pathlib import Path
from export import artifact as artifacts
from export.artifact import Artifact, Dataset, Golden
from export.contract import Tensor
from models import files
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
    if does == "bytes":
        sys.stdout.buffer.write(b"\\xff\\xfe\\n")
        sys.stdout.flush()
    if does == "list": print("[1]", flush=True)
    if does == "foreign": emit(event="ended", id="keras_cnn-onnx-int8")
    if does == "full":
        emit(event="broken", kind="StorageError", reason="Cannot write x: the disk is full.")
        sys.exit(0)
    if does == "silent":
        emit(event="ended", id=id)
        continue
    if does == "crash": os.kill(os.getpid(), signal.SIGSEGV)
    once = Path({starts!r} + ".once")
    if does == "crash once" and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if does == "exit": sys.exit(3)
    if does == "hang": time.sleep(600)
    if does == "broken":
        emit(event="broken", reason="the checkpoint is of another network")
        sys.exit(0)
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
def export(tmp_path, monkeypatch, idx_folder, folder):
    """Return a function that runs the command on torch_cnn's five ONNX recipes, with the lane behaving as given.

    Behaviours are by scheme, or by model for all of its recipes.
    """
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))
    monkeypatch.setattr(planning, "_reference_is_current", lambda *_: True)

    def export(behaviour: dict[str, str] | None = None, *more: str):
        script = tmp_path / "lane.py"
        script.write_text(LANE.format(root=str(ROOT), behaviour=behaviour or {}, starts=str(tmp_path / "starts")))
        tell = f"echo $KERAS_HOME > {tmp_path}/keras_home"
        interpreters.install(tmp_path / "envs", "export", arguments=str(script), before=tell)
        arguments = ["--only", "torch_cnn-onnx-*", "--artifacts", str(folder), "--logs", str(tmp_path / "logs"), *more]
        return CliRunner().invoke(command, arguments)

    return export
