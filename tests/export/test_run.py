"""The orchestrator, whatever its lanes do (conftest.py): they answer, fail, die, hang. No framework is needed."""

import json
import os
import re
import time
from collections import Counter
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from export import artifact as artifacts
from export import lane_client, matrix, run
from export.__main__ import command
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError
from tests.export.conftest import printed

SMALL_TOO = ("--only", "torch_cnn_small-onnx-*", "--jobs", "1")


def outcomes(folder: Path) -> dict[str, str]:
    return {a.scheme: a.outcome for a in artifacts.load(folder)}


def test_every_recipe_is_made_and_the_second_run_makes_only_what_is_missing_or_broken_unless_forced(export, folder):
    assert "5 ok, 0 unsupported, 0 export_failed; 5 made, 0 were current" in export()
    assert set(outcomes(folder)) == set(matrix.ONNX)
    assert "0 made, 5 were current" in export()
    assert "5 made" in export({}, "--force")
    (folder / "torch_cnn-onnx-int8.onnx").write_bytes(b"changed")
    (folder / "torch_cnn-onnx-int4.json").unlink()
    assert "2 made, 3 were current" in export()


DEATHS = {"crash": "killed by SIGSEGV", "exit": "exit code 3", "half": "killed by SIGKILL", "silent": "is not there"}
DEATHS |= dict.fromkeys(("bytes", "list", "foreign"), "where its events go")
DEATHS["chatter"] = "chatter where events go.*where its events go"


@pytest.mark.parametrize(("does", "message"), DEATHS.items())
def test_a_lane_that_dies_or_says_what_it_must_not_costs_one_recipe_for_this_run(export, folder, does, message):
    with pytest.raises(EdgewiseError, match="1 of 5 recipes failed: torch_cnn-onnx-float16"):
        export({"float16": does})
    assert outcomes(folder) == {s: "export_failed" if s == "float16" else "ok" for s in matrix.ONNX}
    assert re.search(message, artifacts.read(folder / "torch_cnn-onnx-float16.json").reason)
    assert not list(folder.glob(".*"))  # nothing that is half written
    assert "1 made, 4 were current" in export()


def test_what_a_signal_killed_once_is_made_in_the_same_run(export, folder):
    export({"float16": "crash once"})
    assert set(outcomes(folder).values()) == {"ok"}
    unchanged = {artifact.scheme for artifact in artifacts.load(folder) if artifact.notes}
    assert unchanged == {"float16"}, "a rewrite may be what killed it: it is made without"


def test_a_file_whose_own_runtime_crashes_is_unsupported_and_stays_so(export, folder):
    export({"float16": "crash on trial"})
    row = artifacts.read(folder / "torch_cnn-onnx-float16.json")
    assert (row.outcome, row.reason) == (
        "unsupported",
        "it was written, but its own runtime's process ended: killed by SIGSEGV",
    )
    assert not list(folder.glob("torch_cnn-onnx-float16.onnx"))
    assert "0 made, 5 were current" in export()


def test_one_lane_serves_several_models_and_costs_nothing_where_it_dies_between_them(export, folder, tmp_path):
    def started() -> list[list[str]]:
        return [line.split() for line in (tmp_path / "starts").read_text().splitlines()]

    export({}, *SMALL_TOO)
    assert [model for _, model in started()] == ["torch_cnn", "torch_cnn_small"]
    assert len({pid for pid, _ in started()}) == 1
    export({"ends after": "torch_cnn"}, *SMALL_TOO, "--force")
    assert Counter(a.outcome for a in artifacts.load(folder)) == {"ok": 10}
    assert len({pid for pid, _ in started()}) == 3


def test_a_lane_that_hangs_is_killed(export, folder, monkeypatch):
    monkeypatch.setattr(lane_client, "TIMEOUT_S", 2)
    started = time.monotonic()
    with pytest.raises(EdgewiseError, match="1 of 5 recipes failed"):
        export({"int8": "hang"})
    assert time.monotonic() - started < 30
    assert "no sign of life for 2 s" in artifacts.read(folder / "torch_cnn-onnx-int8.json").reason


def test_a_model_that_cannot_be_exported_costs_no_other_model(export, folder, capsys):
    with pytest.raises(DataError, match="another network"):
        export({"torch_cnn": "broken"}, *SMALL_TOO)
    assert "5 ok, 0 unsupported, 0 export_failed, 5 not made; 5 made, 0 were current" in printed(capsys)
    assert {a.model for a in artifacts.load(folder)} == {"torch_cnn_small"}


def test_a_defect_of_the_orchestrator_costs_one_model_and_is_a_sentence(export, folder, monkeypatch, tmp_path):
    def lane(log: Path) -> lane_client.Lane:
        if log.stem == "export-torch_cnn":
            raise RuntimeError("can't start new thread")
        return lane_client.Lane(log)

    monkeypatch.setattr(run, "Lane", lane)
    with pytest.raises(EdgewiseError, match="The export of torch_cnn ended: RuntimeError: can't start new thread"):
        export({}, *SMALL_TOO)
    assert {a.model for a in artifacts.load(folder)} == {"torch_cnn_small"}
    assert "RuntimeError" in (tmp_path / "logs" / "export-torch_cnn.log").read_text()


def test_unsupported_is_an_honest_row_and_no_failure(export):
    assert "as the toolchain says it" in export({"int4": "unsupported"})
    assert "0 made, 5 were current" in export({"int4": "unsupported"})


@pytest.mark.parametrize(
    ("behaviour", "options", "error", "message"),
    [
        ({"float32": "broken"}, (), DataError, "another network"),
        ({"float32": "full"}, SMALL_TOO, StorageError, "the disk is full"),
        ({}, ("--artifacts", "{tmp}/file"), StorageError, "Cannot write {tmp}/file"),
        ({}, ("--artifacts", "{tmp}/file/below"), StorageError, "Cannot write {tmp}/file"),
        ({}, ("--logs", "{tmp}/file/below"), StorageError, "Cannot write {tmp}/file"),
        ({}, ("--logs", "/dev/null"), StorageError, "Cannot write /dev/null"),
        ({}, ("--logs", "{tmp}/blocked"), StorageError, "export-torch_cnn.log: a folder has that name"),
    ],
    ids=["another network", "full disk", "artifacts", "below a file", "logs below a file", "device", "log is a folder"],
)
def test_what_ends_the_export_is_named(export, tmp_path, behaviour, options, error, message):
    (tmp_path / "file").write_text("a file stands here")
    (tmp_path / "blocked" / "export-torch_cnn.log").mkdir(parents=True)
    with pytest.raises(error, match=message.format(tmp=tmp_path)):
        export(behaviour, *(option.format(tmp=tmp_path) for option in options))


def test_a_missing_environment_names_the_command_that_installs_it(export, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "nothing"))
    with pytest.raises(EnvironmentMissing, match="nox -s export"):
        export({})


@pytest.mark.parametrize("option", ["--artifacts=", "--logs=", "--jobs=0", "--jobs=65", "--data="])
def test_every_option_is_refused_under_its_own_name(export, folder, option):
    with pytest.raises(click.UsageError) as refused:
        export({}, option)
    assert f"'{option.partition('=')[0]}'" in refused.value.format_message()
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


def test_libraries_may_print_and_write_nothing_into_the_home_folder(export, folder, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    export()
    assert "a library's chatter" in (tmp_path / "logs" / "export-torch_cnn.log").read_text()
    assert json.loads((folder / "torch_cnn-onnx-int8.json").read_text())["dataset"]["name"] == "mnist"
    assert (tmp_path / "keras_home").read_text().strip() == str(tmp_path / "cache" / "keras")


def test_the_profile_says_where_the_time_went(export):
    shown = export({}, "--profile")
    assert "Where the time went: 1.5 s of 2 lanes" in shown
    assert re.search(r"onnx of torch .* 1.5 ", shown)
    assert "Where the time went" not in export()
