"""SavedModel: a real export of the Keras network, as TensorFlow Serving finds it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from export.contract import Contents, Tensor
from export.formats import FORMATS, savedmodel
from export.judge import Defect
from export.source import Source
from models.own.settings import Options
from tests.export.conftest import differing

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
def test_it_answers_as_the_network_lies_in_a_folder_of_versions_and_holds_every_weight(source, folder, images):
    assert np.abs(FORMATS["savedmodel"].run(folder, images[:20]) - source.logits(images[:20])).max() < 1e-4
    assert [p.name for p in folder.iterdir()] == ["1"]
    contents = FORMATS["savedmodel"].inspect(folder)
    assert (contents.inputs, contents.outputs) == ((IMAGE,), (LOGITS,))
    assert contents.weights == {"float32": 3_273_504}
    assert contents.constants == 4 * 3_274_634 + 1  # and the checkpoint's own name for the tree of objects


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(source, folder, tmp_path):
    assert not differing(source, folder.parent, tmp_path, {folder.name: ("savedmodel", "float32")})


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((), (LOGITS,)),
        ((IMAGE,), (replace(LOGITS, name="output_0"),)),
        ((replace(IMAGE, shape=(1, 28, 28, 1)),), (LOGITS,)),
    ],
    ids=["no input", "an output of another name", "a fixed batch"],
)
def test_another_signature_than_promised_is_a_defect(inputs, outputs):
    source = SimpleNamespace(input_shape=(28, 28, 1), classes=10, options=Options())
    with pytest.raises(Defect, match="serving_default takes"):
        savedmodel._check(Contents(inputs=inputs, outputs=outputs, weights={}), source)
