import json

import pytest

from export import artifact as artifacts
from export.artifact import Artifact
from models.common import files
from models.common.errors import DataError
from tests.device_tests.conftest import artifact

ID = "torch_cnn-onnx-int8"


@pytest.fixture
def sidecar(tmp_path) -> Artifact:
    file = tmp_path / f"{ID}.onnx"
    file.write_bytes(b"weights")
    golden = ({"index": 0, "label": 1, "logits": (0.0,)},)
    saved = artifact(ID, file=file.name, sha256=files.sha256(file), size_bytes=7, golden=golden, notes=("a note",))
    artifacts.save(saved, tmp_path)
    return saved


def test_an_artifact_that_matches_its_sidecar_is_current(sidecar, tmp_path):
    (tmp_path / f".{ID}.123.tmp.json").write_text("")  # what is being written is no artifact yet
    assert artifacts.load(tmp_path) == (sidecar,)
    assert artifacts.check(sidecar, tmp_path).name == sidecar.file
    assert artifacts.is_current(tmp_path, ID, "k")
    assert not artifacts.is_current(tmp_path, ID, "another key")


@pytest.mark.parametrize("harm", [b"", b"weight", b"weighty", None], ids=["empty", "truncated", "changed", "gone"])
def test_an_artifact_that_does_not_match_its_sidecar_is_made_again(sidecar, tmp_path, harm):
    (tmp_path / sidecar.file).unlink()
    if harm is not None:
        (tmp_path / sidecar.file).write_bytes(harm)
    assert not artifacts.is_current(tmp_path, ID, "k")
    message = "is not there, though its sidecar is" if harm is None else "does not match its sidecar"
    with pytest.raises(DataError, match=f"{message}.*--only torch_cnn-onnx-int8"):
        artifacts.check(sidecar, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", '{"id": 3}',
        {"sha256": None}, {"file": 3}, {"outcome": []}, {"outcome": "great"}, {"dataset": None}, {"size_bytes": -1},
        {"size_bytes": 1}, {"golden": []}, {"macs": -1}, {"inputs": []}, {"id": "torch_cnn-onnx-int4"}, {"seconds": "x"},
        {"inputs": [{"name": "image", "shape": [1], "dtype": "uint8", "scale": 0.5}]},
        {"file": "../../etc/passwd"}, {"file": "/etc/passwd"}, {"file": "sub/file.onnx"},
    ],
    ids=str,
)  # fmt: skip
def test_a_sidecar_whose_content_cannot_be_is_made_again(sidecar, tmp_path, content):
    path = artifacts.sidecar_path(tmp_path, ID)
    as_it_is = isinstance(content, str)
    path.write_text(content if as_it_is else json.dumps({**json.loads(path.read_text()), **content}))
    assert not artifacts.is_current(tmp_path, ID, "k")
    if as_it_is or isinstance(content.get("file"), str):
        why = "" if as_it_is else "does not lie beside it.*"
        with pytest.raises(DataError, match=f"is no sidecar .*{why}nox -s export"):
            artifacts.load(tmp_path)


def test_an_artifact_that_was_not_made_has_no_file_to_check(tmp_path):
    failed = artifact(ID, outcome="export_failed", reason="a crash")
    with pytest.raises(DataError, match=f"{ID} was not made .export_failed.: a crash"):
        artifacts.check(failed, tmp_path)
