"""The command as it is typed: what it lists, and what it says of ids that do not exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from device_tests.measure.explain.__main__ import command
from models.errors import DataError, UsageError

ROOT = Path(__file__).parents[4]
FRAMEWORKS = "torch tensorflow keras onnx onnxruntime executorch ai_edge_litert"


def type_in(*arguments: str) -> None:
    command.main([*arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((), UsageError, "Name an artifact"),
        (("torch_cnn_smal-tflite-int8",), UsageError, "^'torch_cnn_smal.*Did you mean torch_cnn_small"),
        (("torch_cnn-tflite-int8@lightrt",), UsageError, "It runs on: litert, litert_compiled"),
        (("torch_cnn-tflite-int8", "--artifacts", "nowhere"), DataError, "nox -s export"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, error, says):
    with pytest.raises(error, match=says):
        type_in(*arguments)


def test_an_id_means_each_of_its_runtimes_unless_it_names_one(capsys):
    type_in("--list", "torch_cnn-tflite-int8", "torch_cnn-onnx-int8@onnxruntime@desktop")
    runtimes = ("litert", "litert_compiled", "tensorflow", "tflite_runtime")
    expected = [*(f"torch_cnn-tflite-int8@{r}" for r in runtimes), "torch_cnn-onnx-int8@onnxruntime"]
    assert capsys.readouterr().out.split() == expected


def test_what_cannot_be_explained_is_told_and_fails_nothing(tmp_path, capsys):
    type_in("--all", "--layers", "torch_cnn-onnx-int8", "--artifacts", str(tmp_path), "--results", str(tmp_path))
    told = capsys.readouterr().out
    assert "no receipts torch_cnn-onnx-int8@onnxruntime: " in told
    assert "no layers torch_cnn-onnx-int8: " in told
    assert told.count("0 written, 0 were current, 1 refused") == 2


def test_listing_imports_no_framework():
    spy = (
        "import sys\n"
        "from device_tests.measure.explain.__main__ import command\n"
        "command.main(['--list'], standalone_mode=False)\n"
        f"heavy = set('{FRAMEWORKS}'.split()) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", spy], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch_cnn-tflite-int8@litert" in done.stdout.split()
