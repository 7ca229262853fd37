import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import reference
from models.common.errors import DataError
from models.reference import EvaluationSet, Reference


@pytest.fixture
def original() -> Reference:
    arrays = {"images": np.zeros((2, 28, 28), np.uint8), "labels": np.array([1, 0], np.uint8)}
    inputs = {"checkpoint": "c", "data set": "d"}
    digests = {"dataset_sha256": "d", "checkpoint_sha256": "c", "key": "k", "inputs": inputs}
    return Reference(model="torch_cnn", dataset="mnist", logits=np.eye(2, 10, dtype=np.float32), **arrays, **digests)


@pytest.fixture
def file(tmp_path) -> Path:
    return reference.path(tmp_path, "torch_cnn")


def write(file: Path, arrays: dict[str, object]) -> None:
    with file.open("wb") as out:
        np.savez_compressed(out, **arrays)


def test_a_reference_survives_the_file(original, file):
    reference.save(original, file)
    loaded = reference.load(file)
    assert (loaded.model, loaded.dataset, loaded.checkpoint_sha256) == ("torch_cnn", "mnist", "c")
    assert (loaded.logits == original.logits).all()
    assert (loaded.key, loaded.inputs) == ("k", {"checkpoint": "c", "data set": "d"})
    assert loaded.top1 == 0.0
    assert loaded.margins.tolist() == [1.0, 1.0]


def test_other_sets_of_any_images_and_classes_are_kept_by_name_and_part_of_the_digest(original, file):
    images = np.zeros((2, 8, 6, 3), np.float32)
    night = EvaluationSet(images=images, labels=original.labels.astype(np.int64) + 300, logits=original.logits)
    complete = replace(original, others={"night": night})
    assert complete.sha256 != original.sha256 == replace(original, model="other").sha256
    reference.save(complete, file)
    loaded = reference.load(file)
    assert list(loaded.others) == ["night"]
    assert loaded.others["night"].labels.tolist() == night.labels.tolist()
    assert (loaded.others["night"].images.shape, loaded.others["night"].images.dtype) == ((2, 8, 6, 3), np.float32)
    assert loaded.sha256 == complete.sha256


def test_a_reference_that_was_saved_without_a_key_is_stale_and_no_error(original, file):
    write(file, {n: v for n, v in vars(original).items() if n not in ("key", "inputs", "others")})  # as before keys
    loaded = reference.load(file)
    assert (loaded.key, loaded.inputs) == ("", {})
    assert not loaded.is_current("")


WRONG = {
    "images": ((2, 28, 28, np.float64), (2, 28, np.uint8), (3, 28, 28, np.uint8), (2, 28, 28, object)),
    "labels": ((2, np.float32), (3, np.uint8), (2, 1, np.uint8)),
    "logits": ((2, 10, np.float64),),
    "key": ((3, np.float64),),
}
CHANGES = [{name: np.zeros(shape, dtype)} for name, several in WRONG.items() for *shape, dtype in several]
CHANGES += [{"labels": 3}, {"model": 3}, {"another": 1}, {"logits": np.full((2, 10), np.nan, np.float32)}]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_reference_of_wrong_types_says_what_to_do(original, file, change):
    right = vars(original) | {"inputs": "{}", "others": "[]"}
    write(file, right)
    reference.load(file)
    write(file, right | change)
    with pytest.raises(DataError, match="is no reference.*nox -s export"):
        reference.load(file)


def test_every_damaged_byte_is_the_same_reference_or_one_sentence(original, file):
    """Damage in a zip file comes out of zipfile, zlib and numpy as a dozen classes of errors."""
    reference.save(original, file)
    content = file.read_bytes()
    for position in range(0, len(content), 3):
        file.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        try:
            loaded = reference.load(file)
        except DataError:
            continue
        assert loaded.sha256 == original.sha256, position


def test_a_broken_reference_says_what_to_do_and_a_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, content in (("empty", b""), ("cut off", b"PK\x03\x04 and then nothing"), ("rubbish", b"rubbish")):
        (tmp_path / name).write_bytes(content)
    for file in tmp_path.iterdir():
        with pytest.raises(DataError, match="is no reference.*nox -s export"):
            reference.load(file)
