"""The orchestrator against a lane that does as it is told: answers, fails, dies, hangs. No framework is needed."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from export import artifact as artifacts
from export import matrix, run
from export.__main__ import command
from models.environments import ROOT
from models.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError

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
job = json.load(sys.stdin)
folder = Path(job["folder"])
print("a library's chatter", file=sys.stderr)
def emit(**event): print(json.dumps(event), flush=True)
emit(event="begins", id=job["model"] + ".reference")
for wanted in job["recipes"]:
    recipe = wanted["recipe"]
    id = "-".join(recipe[k] for k in ("model", "format", "scheme"))
    emit(event="begins", id=id)
    does = {behaviour!r}.get(recipe["scheme"], "ok")
    if does == "crash": os.kill(os.getpid(), signal.SIGSEGV)
    if does == "exit": sys.exit(3)
    if does == "hang": time.sleep(600)
    if does == "broken":
        emit(event="broken", reason="the checkpoint is of another network")
        sys.exit(0)
    made = Artifact(id=id, framework="torch", key=wanted["key"], **recipe)
    if does == "ok":
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
    """Return a function that runs the command on torch_cnn's five ONNX recipes, with the lane behaving as given."""
    python = tmp_path / "envs" / "export" / "bin" / "python"
    python.parent.mkdir(parents=True)
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))
    monkeypatch.setattr(run, "_reference_is_current", lambda *_: True)

    def export(behaviour: dict[str, str] | None = None, *more: str):
        script = tmp_path / "lane.py"
        script.write_text(LANE.format(root=str(ROOT), behaviour=behaviour or {}))
        python.write_text(f"#!/bin/sh\nexec {sys.executable} {script}\n")
        python.chmod(python.stat().st_mode | stat.S_IEXEC)
        arguments = ["--only", "torch_cnn-onnx-*", "--artifacts", str(folder), "--logs", str(tmp_path / "logs"), *more]
        return CliRunner().invoke(command, arguments)

    return export


def outcomes(folder: Path) -> dict[str, str]:
    return {a.scheme: a.outcome for a in artifacts.load(folder)}


def test_every_recipe_is_made_and_the_second_run_makes_none(export, folder):
    first = export()
    assert first.exit_code == 0, first.output
    assert "5 ok" in first.output
    assert "5 made, 0 were current" in " ".join(first.output.split())
    assert set(outcomes(folder)) == set(matrix.ONNX)
    assert "0 made, 5 were current" in " ".join(export().output.split())


def test_only_what_is_missing_or_broken_is_made_again(export, folder):
    export()
    (folder / "torch_cnn-onnx-int8.onnx").write_bytes(b"changed")
    (folder / "torch_cnn-onnx-int4.json").unlink()
    again = export()
    assert "2 made, 3 were current" in " ".join(again.output.split())


def test_force_makes_all_again(export):
    export()
    assert "5 made" in export({}, "--force").output


@pytest.mark.parametrize(("does", "says"), [("crash", "killed by SIGSEGV"), ("exit", "exit code 3")])
def test_a_lane_that_dies_costs_one_recipe_and_the_next_run_tries_it_again(export, folder, does, says):
    result = export({"float16": does})
    assert isinstance(result.exception, EdgewiseError)
    assert "1 of 5 recipes failed: torch_cnn-onnx-float16" in str(result.exception)
    assert outcomes(folder) == {s: "export_failed" if s == "float16" else "ok" for s in matrix.ONNX}
    assert says in artifacts.read(folder / "torch_cnn-onnx-float16.json").reason
    assert "1 made, 4 were current" in " ".join(export().output.split())


def test_a_lane_that_hangs_is_killed(export, folder, monkeypatch):
    monkeypatch.setattr(run, "TIMEOUT_S", 2)
    started = time.monotonic()
    export({"int8": "hang"})
    assert time.monotonic() - started < 30
    assert "no sign of life for 2 s" in artifacts.read(folder / "torch_cnn-onnx-int8.json").reason


def test_unsupported_is_an_honest_row_and_no_failure(export, folder):
    result = export({"int4": "unsupported"})
    assert result.exit_code == 0
    assert "as the toolchain says it" in result.output
    assert "0 made, 5 were current" in " ".join(export({"int4": "unsupported"}).output.split())


def test_a_checkpoint_that_cannot_be_loaded_ends_the_export_with_its_reason(export):
    result = export({"float32": "broken"})
    assert isinstance(result.exception, DataError)
    assert "another network" in str(result.exception)


def test_a_missing_environment_names_the_command_that_installs_it(export, monkeypatch, tmp_path):
    export()
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "nothing"))
    result = CliRunner().invoke(command, ["--only", "torch_cnn-tflite-int8", "--artifacts", str(tmp_path / "other")])
    assert isinstance(result.exception, EnvironmentMissing)
    assert "nox -s export" in str(result.exception)


def test_a_folder_that_cannot_be_written_says_so(export, folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file stands here")
    result = export()
    assert isinstance(result.exception, StorageError)


def test_temporaries_of_killed_runs_are_swept_and_those_of_living_ones_kept(export, folder):
    folder.mkdir()
    dead, alive = folder / ".x.99999999.tmp.onnx", folder / f".x.{os.getpid()}.tmp.onnx"
    for leftover in (dead, alive):
        leftover.write_bytes(b"half")
    export()
    assert (dead.exists(), alive.exists()) == (False, True)


def test_other_data_asks_for_another_artifact(export):
    export()
    assert "5 made" in export({}, "--data", "digits").output


def test_the_list_needs_neither_data_nor_environment(monkeypatch):
    monkeypatch.setenv("MNIST_DIR", "/nowhere")
    result = CliRunner().invoke(command, ["--list", "--only", "keras_cnn-savedmodel-*"])
    assert result.output == "keras_cnn-savedmodel-float32\n"


def test_events_are_read_though_libraries_print(export, folder, tmp_path):
    export()
    assert "a library's chatter" in (tmp_path / "logs" / "export-torch_cnn.log").read_text()
    assert json.loads((folder / "torch_cnn-onnx-int8.json").read_text())["dataset"]["name"] == "mnist"
