"""Files with and without rewrites are compared only where both are made from the same."""

import pytest

from device_tests.measure import rewrites
from export import artifact as artifacts
from export.artifact import Dataset
from models.common.errors import DataError
from tests.device_tests.conftest import artifact

ID = "m-tflite-int8"


def save(folder, **facts) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.save(artifact(ID, **{"checkpoint_sha256": "c" * 64, **facts}), folder)


@pytest.mark.parametrize("facts", [{"checkpoint_sha256": "d" * 64}, {"dataset": Dataset(name="digits")}], ids=str)
def test_files_of_other_checkpoints_or_images_are_not_compared(tmp_path, facts):
    place = rewrites.Place(artifacts=tmp_path / "artifacts", results=tmp_path / "results")
    save(place.artifacts)
    save(place.converted)
    rewrites.require_same_source(ID, place)
    save(place.artifacts, **facts)
    with pytest.raises(DataError, match=f"Make it again with: nox -s export -- --only {ID}"):
        rewrites.require_same_source(ID, place)
