"""SavedModel: a real export of the Keras network, as TensorFlow Serving finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export.contract import Contents, Tensor
from export.formats import FORMATS, savedmodel
from export.judge import Defect
from export.source import Source
from models import data, files
from models.images import network_input
from models.own.settings import Options

ROOT = Path(__file__).resolve().parents[2]
IMAGE = Tensor(name="image", shape=(-1, 28, 28, 1), dtype="float32")
LOGITS = Tensor(name="logits", shape=(-1, 10), dtype="float32")


@pytest.fixture(scope="module")
def source() -> Source:
    return Source("keras_cnn", "digits")


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("savedmodel") / "keras_cnn.savedmodel"
    FORMATS["savedmodel"].convert(source, "float32", folder)
    return folder


@pytest.mark.slow
def test_it_answers_as_the_network(source, folder):
    grey = network_input(data.load("test", "digits").images[:20], "hwc")
    assert np.abs(FORMATS["savedmodel"].run(folder, grey) - source.logits(grey)).max() < 1e-4


@pytest.mark.slow
def test_it_lies_in_a_folder_of_versions_and_holds_every_weight(folder):
    assert [p.name for p in folder.iterdir()] == ["1"]
    contents = FORMATS["savedmodel"].inspect(folder)
    assert (contents.inputs, contents.outputs) == ((IMAGE,), (LOGITS,))
    assert contents.weights == {"float32": 3_273_504}
    assert contents.constants == 4 * 3_274_634 + 1  # and the checkpoint's own name for the tree of objects


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(folder, tmp_path):
    program = (
        "from pathlib import Path\n"
        "from export.formats import FORMATS\n"
        "from export.source import Source\n"
        "source = Source('keras_cnn', 'digits')\n"
        "source.network, source.fresh_network()\n"  # what an earlier recipe leaves behind: counters that went on
        f"FORMATS['savedmodel'].convert(source, 'float32', Path({str(tmp_path / 'again.savedmodel')!r}))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    assert files.sha256(tmp_path / "again.savedmodel") == files.sha256(folder)


@pytest.mark.parametrize(
    "contents",
    [
        Contents(inputs=(), outputs=(LOGITS,), weights={}),
        Contents(inputs=(IMAGE,), outputs=(Tensor(name="output_0", shape=(-1, 10), dtype="float32"),), weights={}),
        Contents(inputs=(Tensor(name="image", shape=(1, 28, 28, 1), dtype="float32"),), outputs=(LOGITS,), weights={}),
    ],
    ids=["no input", "an output of another name", "a fixed batch"],
)
def test_another_signature_than_promised_is_a_defect(contents):
    with pytest.raises(Defect, match="serving_default takes"):
        savedmodel._check(contents, SimpleNamespace(input_shape=(28, 28, 1), classes=10, options=Options()))
