"""The command as it is typed: what it lists, and what it says of ids that do not exist."""

import json
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec import to_builtins
from rich.console import Console

from device_tests.measure.explain import layers, run, tree
from device_tests.results import placements
from device_tests.results.layers import Layers
from device_tests.results.placements import Defect, Operator, Part, Placement
from export import artifact as artifacts
from export.artifact import Artifact
from export.matrix import MATRIX
from models.common import files
from models.common.errors import DataError, UsageError
from tests.device_tests.conftest import artifact, placement, type_in

explain = partial(type_in, "explain")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), UsageError, "Name an artifact"),
        (("torch_cnn_smal-tflite-int8",), UsageError, "^'torch_cnn_smal.*Did you mean torch_cnn_small"),
        (("torch_cnn-tflite-int8@lightrt",), UsageError, "It runs on: litert, litert_compiled"),
        (("torch_cnn-tflite-int8@tflite_micro",), UsageError, "cannot look into torch_cnn-tflite-int8 on tflite_micro"),
        (("torch_cnn-tflite-int8", "--artifacts", "nowhere"), DataError, "nox -s export"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, error, message):
    with pytest.raises(error, match=message):
        explain(*arguments)


def test_every_format_of_the_matrix_has_a_module_that_reads_it_and_another_is_said(monkeypatch, tmp_path):
    formats = {name for formats in MATRIX.values() for name in formats}
    assert formats == {*run.MODULES}
    folder = Path(run.__file__).parent
    assert all((folder / f"{module}.py").is_file() for module in run.MODULES.values())
    own = [run.module(*pair) for pair in (("onnx", "openvino"), ("onnx", "onnxruntime"), ("coreml", "mil_evaluator"))]
    assert own == ["openvino", "onnx", "coreml"]
    monkeypatch.delitem(run.MODULES, "tflite")
    with pytest.raises(DataError, match="cannot read tflite yet"):
        run.make(SimpleNamespace(format="tflite"), tmp_path, "litert")


def test_an_id_means_each_of_its_runtimes_unless_it_names_one_and_further_engines_are_named(capsys):
    def listed(*ids: str) -> list[str]:
        explain("--list", *ids)
        return capsys.readouterr().out.split()

    runtimes = ("litert", "litert_compiled", "tensorflow", "tflite_runtime")
    expected = [*(f"torch_cnn-tflite-int8@{r}" for r in runtimes), "torch_cnn-onnx-int8@onnxruntime"]
    assert listed("torch_cnn-tflite-int8", "torch_cnn-onnx-int8@onnxruntime@desktop") == expected
    named = ("torch_cnn-coreml-int4", "torch_cnn-onnx-int8@openvino", "torch_cnn-ncnn-float16")
    further = {"torch_cnn-coreml-int4@mil_evaluator", "torch_cnn-onnx-int8@openvino", "torch_cnn-ncnn-float16@ncnn"}
    assert further <= set(listed(*named))
    plain = listed()
    assert expected[0] in plain
    assert not further & set(plain)


def test_each_framework_has_a_process_of_its_own_and_who_refuses_is_told(tmp_path, capsys, monkeypatch):
    def make(artifact: Artifact, folder: Path, runtime: str) -> Placement:
        if runtime == "tensorflow":
            raise DataError("it does not load")
        return placement(artifact.id, runtime=runtime, library=str(os.getpid()))

    monkeypatch.setattr(run, "make", make)
    ids = ("torch_cnn-tflite-int8", "keras_cnn-tflite-int8")
    (tmp_path / f"{ids[0]}.json").touch()
    monkeypatch.setattr(artifacts, "read", lambda path: artifact(path.stem, framework=path.stem.split("_")[0]))
    explain("--all", *ids, "--artifacts", str(tmp_path), "--results", str(tmp_path))
    output = capsys.readouterr().out
    refused = ", ".join(f"{id}@tensorflow" for id in ids)
    assert f"no placement reports {refused}: it does not load" in output
    assert "placement reports: 6 written, 0 were current, 2 refused" in output
    runtimes = ("litert", "tflite_runtime")
    processes = {id: {placements.read(tmp_path, f"{id}@{name}").library for name in runtimes} for id in ids}
    assert all(len(pids) == 1 for pids in processes.values())
    assert len({str(os.getpid())}.union(*processes.values())) == 3


def test_what_cannot_be_explained_is_told_and_fails_nothing_unless_nothing_is_there(tmp_path, capsys):
    arguments = ("--all", "--layers", "torch_cnn-onnx-int8", "--artifacts", str(tmp_path), "--results", str(tmp_path))
    with pytest.raises(DataError, match="holds none of these artifacts. Make them with: nox -s export"):
        explain(*arguments)
    (tmp_path / "torch_cnn-onnx-int8.json").write_text("{")
    explain(*arguments)
    output = capsys.readouterr().out
    assert "no placement reports torch_cnn-onnx-int8@onnxruntime: " in output
    assert "no layers torch_cnn-onnx-int8: " in output
    assert output.count("0 written, 0 were current, 1 refused") == 2


@pytest.mark.parametrize("outcome", ["export_failed", "ok"])
def test_an_artifact_without_a_file_is_not_looked_for_in_the_whole_folder(tmp_path, monkeypatch, outcome):
    """Its sidecar names "", which beside a folder's path is the folder itself."""
    missing = artifact("torch_cnn-onnx-int8", outcome=outcome, reason="no such operator", file="", sha256="")
    artifacts.save(missing, tmp_path)
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail(f"digested {path}"))
    with pytest.raises(DataError, match=f"was not made .{outcome}.: no such operator|it is ok without a file"):
        explain("torch_cnn-onnx-int8", "--artifacts", str(tmp_path))


def test_what_is_printed_goes_into_a_file_too(tmp_path, monkeypatch, capsys):
    operator = Operator(name="CONV_2D", weights="int8", layer="conv1", macs=1)
    example = placement("torch_cnn-tflite-int8", runtime="litert", operators=(operator,))
    monkeypatch.setattr(run, "make", lambda artifact, folder, runtime: example)
    error = layers.error("conv1", np.ones(2), -np.ones(2))
    measured = Layers(artifact=example.artifact, key="k", images=1, tool="t", errors=(error,))
    monkeypatch.setattr("device_tests.commands.explain._layers", lambda recipe, folder: measured)
    artifacts.save(artifact(example.artifact), tmp_path)
    file = tmp_path / "out.json"
    explain(f"{example.artifact}@litert", "--layers", "--artifacts", str(tmp_path), "--json", str(file))
    assert "CONV_2D" in capsys.readouterr().out
    written = json.loads(file.read_text())
    assert written["placements"][0]["operators"] == [to_builtins(operator)]
    assert (written["layers"][0]["errors"], written["layers"][0]["first_bad"]) == ([to_builtins(error)], "conv1")


def test_what_files_and_runtimes_say_moves_no_cursor_and_draws_no_markup(capsys):
    hostile = "\x1b]0;title\x07\x1b[31m\x9b2J[bold]conv1[/bold]"
    error = layers.error(hostile, np.ones(2), -np.ones(2))
    measured = Layers(artifact="a\x1b[2J", key="k", images=1, tool="t\x1b[2J", errors=(error,))
    part = Part(name=hostile, section=hostile, size_bytes=1)
    example = placement(hostile, versions={hostile: hostile}, library=hostile, parts=(part,), notes=(hostile,),
                   operators=(Operator(name=hostile, weights="int8", layer=hostile, macs=1),),
                   defects=(Defect(kind=hostile, share=0.0, text=hostile),))  # fmt: skip
    console = Console(width=300)
    console.print(tree.layers_table(measured))
    console.print(tree.placement_tree(example))
    printed = capsys.readouterr().out
    assert not set(printed) & set("\x1b\x07\x9b")
    assert printed.count("[bold]conv1[/bold]") >= 10
