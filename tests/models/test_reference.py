from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import reference
from models.errors import DataError
from models.reference import Reference


@pytest.fixture
def made() -> Reference:
    return Reference(
        model="torch_cnn",
        dataset="mnist",
        dataset_sha256="d",
        checkpoint_sha256="c",
        images=np.zeros((2, 28, 28), np.uint8),
        labels=np.array([1, 0], np.uint8),
        logits=np.eye(2, 10, dtype=np.float32),
    )


def test_a_reference_survives_the_file(made, tmp_path):
    file = reference.path(tmp_path, made.model)
    reference.save(made, file)
    known = reference.load(file)
    assert (known.model, known.dataset, known.checkpoint_sha256) == ("torch_cnn", "mnist", "c")
    assert (known.logits == made.logits).all()
    assert known.top1 == 0.0
    assert known.margins.tolist() == [1.0, 1.0]


def test_a_reference_without_other_digits_must_be_made_again_unless_the_digits_are_its_data_set(made):
    others = {"digits_images": made.images, "digits_labels": made.labels, "digits_logits": made.logits}
    complete, is_digits = replace(made, **others), replace(made, dataset="digits")
    assert [known.is_current("c", "d") for known in (made, complete, is_digits)] == [False, True, True]
    assert not complete.is_current("c", "other")
    assert not complete.is_current("other", "d")
    assert complete.sha256 != made.sha256 == replace(made, model="other").sha256


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 and then nothing", b"rubbish"], ids=["empty", "truncated", "rubbish"]
)
def test_a_broken_reference_says_what_to_do(tmp_path, content):
    file = tmp_path / "torch_cnn.reference.npz"
    file.write_bytes(content)
    with pytest.raises(DataError, match="is no reference.*nox -s export"):
        reference.load(file)


def test_a_reference_that_pickles_is_refused(tmp_path):
    file = tmp_path / "torch_cnn.reference.npz"
    with file.open("wb") as out:
        np.savez(out, images=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(DataError, match="is no reference"):
        reference.load(file)
