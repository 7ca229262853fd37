"""The orchestrator against a lane that does as it is told: answers, fails, dies, hangs. No framework is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export import artifact as artifacts
from export import keys, lanes, matrix, planning, run
from export.__main__ import command
from models import cards, checkpoints, data, mirrors, reference
from models.environments import ROOT
from models.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError, UsageError
from models.reference import EvaluationSet, Reference

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
    made = Artifact(id=id, framework="torch", key=wanted["key"], **recipe)
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
    python = tmp_path / "envs" / "export" / "bin" / "python"
    python.parent.mkdir(parents=True)
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))
    monkeypatch.setattr(planning, "_reference_is_current", lambda *_: True)

    def export(behaviour: dict[str, str] | None = None, *more: str):
        script = tmp_path / "lane.py"
        script.write_text(LANE.format(root=str(ROOT), behaviour=behaviour or {}, starts=str(tmp_path / "starts")))
        python.write_text(f"#!/bin/sh\necho $KERAS_HOME > {tmp_path}/keras_home\nexec {sys.executable} {script}\n")
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


@pytest.mark.parametrize(("does", "message"), [("crash", "killed by SIGSEGV"), ("exit", "exit code 3")])
def test_a_lane_that_dies_costs_one_recipe_and_the_next_run_tries_it_again(export, folder, does, message):
    result = export({"float16": does})
    assert isinstance(result.exception, EdgewiseError)
    assert "1 of 5 recipes failed: torch_cnn-onnx-float16" in str(result.exception)
    assert outcomes(folder) == {s: "export_failed" if s == "float16" else "ok" for s in matrix.ONNX}
    assert message in artifacts.read(folder / "torch_cnn-onnx-float16.json").reason
    assert "1 made, 4 were current" in " ".join(export().output.split())


def test_what_a_signal_killed_once_is_made_in_the_same_run(export, folder):
    result = export({"float16": "crash once"})
    assert result.exit_code == 0, result.output
    assert set(outcomes(folder).values()) == {"ok"}


def test_no_library_that_imports_keras_writes_into_the_home_folder(export, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    export()
    assert (tmp_path / "keras_home").read_text().strip() == str(tmp_path / "cache" / "keras")


def test_a_lane_that_hangs_is_killed(export, folder, monkeypatch):
    monkeypatch.setattr(lanes, "TIMEOUT_S", 2)
    started = time.monotonic()
    export({"int8": "hang"})
    assert time.monotonic() - started < 30
    assert "no sign of life for 2 s" in artifacts.read(folder / "torch_cnn-onnx-int8.json").reason


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("chatter", "chatter where events go' where its events go|chatter where events go.*where its events go"),
        ("bytes", "where its events go"),
        ("list", "where its events go"),
        ("foreign", "where its events go"),
        ("silent", "is not there"),
    ],
)
def test_a_lane_that_says_what_it_must_not_costs_one_recipe(export, folder, does, message):
    result = export({"float16": does})
    assert "1 of 5 recipes failed: torch_cnn-onnx-float16" in str(result.exception)
    assert outcomes(folder) == {s: "export_failed" if s == "float16" else "ok" for s in matrix.ONNX}
    assert re.search(message, artifacts.read(folder / "torch_cnn-onnx-float16.json").reason)


def test_a_lane_that_dies_leaves_no_half_written_file(export, folder):
    export({"float16": "half"})
    assert not list(folder.glob(".*"))
    assert outcomes(folder)["float16"] == "export_failed"


def test_a_model_that_cannot_be_exported_costs_no_other_model(export, folder):
    result = export({"torch_cnn": "broken"}, "--only", "torch_cnn_small-onnx-*", "--jobs", "1")
    assert isinstance(result.exception, DataError)
    assert "another network" in str(result.exception)
    assert "5 ok, 0 unsupported, 0 export_failed, 5 not made; 5 made, 0 were current" in " ".join(result.output.split())
    assert {a.model for a in artifacts.load(folder)} == {"torch_cnn_small"}


def test_a_defect_of_the_orchestrator_costs_one_model_and_is_a_sentence(export, folder, monkeypatch, tmp_path):
    class BrokenLane(lanes.Lane):
        def __init__(self, log: Path) -> None:
            if log.stem == "export-torch_cnn":
                raise RuntimeError("can't start new thread")
            super().__init__(log)

    monkeypatch.setattr(run, "Lane", BrokenLane)
    result = export({}, "--only", "torch_cnn_small-onnx-*", "--jobs", "1")
    assert isinstance(result.exception, EdgewiseError)
    assert "The export of torch_cnn ended: RuntimeError: can't start new thread" in str(result.exception)
    assert {a.model for a in artifacts.load(folder)} == {"torch_cnn_small"}
    assert "RuntimeError" in (tmp_path / "logs" / "export-torch_cnn.log").read_text()


def test_a_full_disk_ends_the_export(export, folder):
    result = export({"float32": "full"}, "--only", "torch_cnn_small-onnx-*", "--jobs", "1")
    assert isinstance(result.exception, StorageError)
    assert "the disk is full" in str(result.exception)


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


@pytest.mark.parametrize("option", ["--artifacts", "--logs"])
def test_each_folder_is_checked_under_its_own_name(export, tmp_path, option):
    wrong = tmp_path / "a-file"
    wrong.write_text("")
    result = export({}, option, str(wrong / "below"))
    assert isinstance(result.exception, StorageError)
    assert f"Cannot write {wrong}" in str(result.exception)


def test_logs_that_are_a_device_are_not_blamed_on_the_artifacts(export):
    result = export({}, "--logs", "/dev/null")
    assert isinstance(result.exception, StorageError)
    assert "Cannot write /dev/null" in str(result.exception)


def test_a_log_that_is_a_folder_is_a_sentence(export, tmp_path):
    (tmp_path / "logs" / "export-torch_cnn.log").mkdir(parents=True)
    result = export()
    assert isinstance(result.exception, StorageError)
    assert "export-torch_cnn.log: a folder has that name" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value"), [("--artifacts", ""), ("--logs", ""), ("--jobs", "0"), ("--jobs", "65"), ("--data", "")]
)
def test_every_option_is_refused_under_its_own_name(export, folder, option, value):
    result = export({}, option, value)
    assert result.exit_code == 2
    assert f"'{option}'" in result.output
    assert not folder.exists()


def test_temporaries_of_killed_runs_are_swept_and_those_of_living_ones_kept(export, folder):
    folder.mkdir()
    dead, alive = folder / ".x.99999999.tmp.onnx", folder / f".x.{os.getpid()}.tmp.onnx"
    for leftover in (dead, alive):
        leftover.write_bytes(b"half")
    export()
    assert (dead.exists(), alive.exists()) == (False, True)


def test_the_list_needs_neither_data_nor_environment(monkeypatch):
    monkeypatch.setenv("MNIST_DIR", "/nowhere")
    result = CliRunner().invoke(command, ["--list", "--only", "keras_cnn-savedmodel-*"])
    assert (result.stdout, result.stderr) == ("keras_cnn-savedmodel-float32\n", "float32: as trained\n")


def test_events_are_read_though_libraries_print(export, folder, tmp_path):
    export()
    assert "a library's chatter" in (tmp_path / "logs" / "export-torch_cnn.log").read_text()
    assert json.loads((folder / "torch_cnn-onnx-int8.json").read_text())["dataset"]["name"] == "mnist"


@pytest.fixture
def no_mnist(monkeypatch, tmp_path) -> Callable[[], None]:
    """Return a function that takes MNIST away: no folder, no cache, no mirror."""

    def take_away() -> None:
        monkeypatch.delenv("MNIST_DIR", raising=False)
        monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "no-cache"))
        monkeypatch.setattr(mirrors, "MIRRORS", ())
        data.load.cache_clear()

    return take_away


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("more", [(), ("--force",), ("--only", "torch_cnn_small-onnx-int8")], ids=" ".join)
def test_the_digits_never_stand_in_for_mnist_where_artifacts_of_mnist_are(export, folder, no_mnist, more):
    export()
    before = contents(folder)
    no_mnist()
    result = export({}, *more)
    assert isinstance(result.exception, DataError)
    assert re.search("holds 5 artifacts of mnist.*MNIST_DIR=FOLDER.*--data digits", str(result.exception))
    assert contents(folder) == before


def test_one_sidecar_of_an_earlier_version_is_enough_to_refuse(export, folder, no_mnist):
    folder.mkdir()
    (folder / "torch_cnn-onnx-int8.json").write_text('{"dataset": {"name": "mnist"}}')
    (folder / "torch_cnn-onnx-int4.json").write_text('{"dataset": {"name": "digits"}}')
    (folder / "rubbish.json").write_text('{"dataset": []}')
    no_mnist()
    assert "holds 1 artifacts of mnist" in str(export().exception)


def test_the_digits_by_name_replace_nothing_of_mnist_unless_forced(export, folder):
    export()
    before = contents(folder)
    refused = export({}, "--data", "digits")
    assert isinstance(refused.exception, UsageError)
    assert re.search("holds 5 artifacts of mnist.*artifacts-digits.*--force", str(refused.exception))
    assert contents(folder) == before
    forced = export({}, "--data", "digits", "--force")
    assert "5 made" in forced.output
    assert {a.dataset.name for a in artifacts.load(folder)} == {"digits"}


def test_on_a_fresh_machine_the_digits_stand_in_loudly_and_mnist_replaces_them(export, folder, no_mnist, monkeypatch):
    mnist = os.environ["MNIST_DIR"]
    no_mnist()
    for expected in ("5 made, 0 were current", "0 made, 5 were current"):
        data.load.cache_clear()  # each is a process of its own
        result = export()
        assert result.exit_code == 0, result.output
        assert "using scikit-learn's digits, not MNIST" in result.output
        assert "Judged on scikit-learn's digits" in result.output
        assert expected in " ".join(result.output.split())
    monkeypatch.setenv("MNIST_DIR", mnist)
    data.load.cache_clear()
    assert "5 made, 0 were current" in " ".join(export().output.split())
    assert {a.dataset.name for a in artifacts.load(folder)} == {"mnist"}


def test_the_digits_by_name_go_into_a_folder_of_their_own(export, tmp_path, monkeypatch):
    export()
    monkeypatch.chdir(tmp_path)
    arguments = ["--only", "torch_cnn-onnx-*", "--data", "digits", "--logs", str(tmp_path / "logs")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert {a.dataset.name for a in artifacts.load(tmp_path / "artifacts-digits")} == {"digits"}
    assert {a.dataset.name for a in artifacts.load(tmp_path / "artifacts")} == {"mnist"}
    said = " ".join(result.output.split())
    assert "nox -s device_tests -- --artifacts artifacts-digits --results results-digits" in said


@pytest.fixture
def own_checkpoint(tmp_path, monkeypatch) -> Path:
    """The model's checkpoint and card in a folder of their own, to be harmed."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(checkpoints.FOLDER, folder, ignore=shutil.ignore_patterns("keras*", "*small*"))
    monkeypatch.setattr(checkpoints, "FOLDER", folder)
    return folder / "torch_cnn.safetensors"


def test_a_damaged_checkpoint_is_an_error_before_anything_is_written(export, folder, own_checkpoint):
    content = bytearray(own_checkpoint.read_bytes())
    content[-1] ^= 0x80
    own_checkpoint.write_bytes(content)
    result = export()
    assert isinstance(result.exception, DataError)
    assert "torch_cnn.safetensors is damaged" in str(result.exception)
    assert not folder.exists()


@pytest.mark.parametrize("card", ["no card", "another card"])
def test_a_checkpoint_of_a_users_own_is_exported_and_that_is_noted(export, folder, own_checkpoint, card):
    assert "NOTE" not in export().output
    path = own_checkpoint.with_suffix(".json")
    known = json.loads(path.read_text())
    path.unlink()
    if card == "another card":
        path.write_text(json.dumps(known | {"fingerprint": "another"}))
    result = export()
    assert result.exit_code == 0, result.output
    assert "NOTE: torch_cnn is exported, though it" in result.output
    assert set(outcomes(folder).values()) == {"ok"}


def test_a_card_of_wrong_types_is_a_sentence(export, own_checkpoint):
    own_checkpoint.with_suffix(".json").write_text('{"sha256": 3}')
    assert isinstance(export().exception, DataError)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"id": 3}', "\x00"], ids=repr)
def test_a_sidecar_that_is_none_is_made_again(export, folder, text):
    export()
    (folder / "torch_cnn-onnx-int8.json").write_text(text)
    result = export()
    assert result.exit_code == 0, result.output
    assert "1 made, 4 were current" in " ".join(result.output.split())


def saved_reference(folder: Path, **changes: str) -> Path:
    """Save a reference of torch_cnn as a lane would, with today's inputs but for `changes`."""
    digits = data.load("test")
    now = keys.reference_inputs(
        "torch_cnn", checkpoint_sha256=cards.require_whole("torch_cnn").sha256, dataset_sha256=digits.sha256
    )
    sets = {"images": digits.images, "labels": digits.labels, "logits": np.zeros((len(digits), 10), np.float32)}
    file = reference.path(folder, "torch_cnn")
    made = Reference(model="torch_cnn", dataset="mnist", dataset_sha256=digits.sha256, checkpoint_sha256="c", **sets,
                     others={"digits": EvaluationSet(**sets)}, inputs=now | changes,
                     key=keys.reference_key(now | changes))  # fmt: skip
    reference.save(made, file)
    return file


@pytest.mark.parametrize(
    ("harm", "recipes"),
    [
        (None, None),
        ({"models/zoo/torch_cnn.py": "another"}, 0),
        ({"models/data.py": "another"}, 0),
        ({"constraints/export.txt": "another"}, 0),
        ("truncated", 0),
        ("forced", 1),
    ],
    ids=str,
)
def test_a_reference_is_made_again_unless_all_its_inputs_are_todays(idx_folder, folder, monkeypatch, harm, recipes):
    monkeypatch.setattr(artifacts, "is_current", lambda *_: True)
    file = saved_reference(folder, **(harm if isinstance(harm, dict) else {}))
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:-30])
    jobs = planning.plan(matrix.select(("torch_cnn-onnx-int8",)), dataset=None, folder=folder, logs=folder / "logs",
                    force=harm == "forced")  # fmt: skip
    assert [len(job.recipes) for job in jobs] == ([] if recipes is None else [recipes])
    assert all(job.force == (harm == "forced") for job in jobs)


def test_a_recipes_key_holds_what_its_reference_is_made_from(idx_folder, folder):
    recipe = matrix.select(("torch_cnn-eager-float32",))
    (job,) = planning.plan(recipe, dataset=None, folder=folder, logs=folder / "logs", force=False)
    key = keys.reference_key(keys.artifact_inputs(recipe[0], job.reference_inputs))
    assert job.recipes == ((recipe[0], key),)
    other = {**job.reference_inputs, "models/data.py": "another"}
    assert keys.reference_key(keys.artifact_inputs(recipe[0], other)) != key


def test_one_lane_serves_several_models_and_imports_once(export, tmp_path):
    export({}, "--only", "torch_cnn_small-onnx-*", "--jobs", "1")
    started = [line.split() for line in (tmp_path / "starts").read_text().splitlines()]
    assert [model for _, model in started] == ["torch_cnn", "torch_cnn_small"]
    assert len({pid for pid, _ in started}) == 1


def test_the_profile_says_where_the_time_went(export):
    said = " ".join(export({}, "--profile").output.split())
    assert "Where the time went: 1.5 s of 2 lanes" in said
    assert "onnx of torch" in said
    assert "Where the time went" not in export().output
