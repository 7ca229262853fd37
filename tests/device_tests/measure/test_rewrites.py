"""Files with and without rewrites are compared only where both are made from the same."""

from __future__ import annotations

import pytest

from device_tests.measure import rewrites
from export import artifact as artifacts
from export.artifact import Artifact, Dataset
from export.contract import Tensor
from models.errors import DataError

ID = "m-tflite-int8"


def save(folder, **facts) -> None:
    names = {"model": "m", "framework": "torch", "format": "tflite", "scheme": "int8", "key": "k"}
    tensors = (Tensor(name="t", shape=(1,), dtype="int8"),)
    whole = {"file": "f", "sha256": "a" * 64, "size_bytes": 1, "inputs": tensors, "outputs": tensors}
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.save(Artifact(id=ID, **{**names, **whole, "checkpoint_sha256": "c" * 64, **facts}), folder)


@pytest.mark.parametrize("facts", [{"checkpoint_sha256": "d" * 64}, {"dataset": Dataset(name="digits")}], ids=str)
def test_files_of_other_checkpoints_or_images_are_not_compared(tmp_path, facts):
    place = rewrites.Place(artifacts=tmp_path / "artifacts", results=tmp_path / "results")
    save(place.artifacts)
    save(place.converted)
    rewrites.require_same_source(ID, place)
    save(place.artifacts, **facts)
    with pytest.raises(DataError, match=f"Make it again with: nox -s export -- --only {ID}"):
        rewrites.require_same_source(ID, place)
