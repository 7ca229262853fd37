"""What a lane does with the batch that edgewise.toml asks for: it is what the file says and runs with, or unsupported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export import making
from export.artifact import Artifact
from export.contract import Contents, Tensor
from export.schemes import SCHEMES
from export.source import Source
from models.own.settings import Options
from tests.export.test_lane_failures import artifact_of, expected, scripted  # noqa: F401 - fixtures


@pytest.fixture
def batches(scripted, expected, monkeypatch, tmp_path):  # noqa: F811
    """Return a function that makes the recipe for a batch, with a file that is written for another, and tells the runs."""
    run, runs = scripted.run, []
    monkeypatch.setattr(Source, "any_batch", True)
    scripted.options = lambda framework, scheme: ("batch",)

    def make(batch: object, shape: int, wrong: object = None) -> Artifact:
        def answer(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
            runs.append(batch)
            logits = run(path, images)[: len(images)]
            return -logits if batch == wrong else logits

        scripted.run = answer
        scripted.inspect = lambda path: Contents(
            inputs=(Tensor(name="image", shape=(shape, 1, 28, 28), dtype="float32"),),
            outputs=(Tensor(name="logits", shape=(shape, 10), dtype="float32"),),
            weights={"float32": 21_840},
        )
        scheme = replace(SCHEMES["float32"], options=Options(batch=batch))
        monkeypatch.setattr(making, "SCHEMES", {"float32": scheme})
        return artifact_of(tmp_path, expected)

    return SimpleNamespace(make=make, runs=runs)


@pytest.mark.parametrize(("batch", "shape", "runs"), [(4, 4, [4]), (1, 1, [1]), ("dynamic", -1, [1, making.TOGETHER])])
def test_a_file_is_judged_in_the_batch_that_it_is_for_and_one_for_any_in_two(batches, batch, shape, runs):
    artifact = batches.make(batch, shape)
    assert (artifact.outcome, artifact.batch, artifact.options) == ("ok", shape, Options(batch=batch)), artifact.reason
    assert batches.runs == runs


@pytest.mark.parametrize(("batch", "shape"), [(4, 1), ("dynamic", 1), (1, -1)])
def test_a_format_that_does_not_heed_the_batch_is_found_out(batches, batch, shape):
    artifact = batches.make(batch, shape)
    assert artifact.outcome == "unsupported"
    assert "scripted makes files for " in artifact.reason


def test_what_answers_one_image_but_not_several_is_unsupported(batches):
    artifact = batches.make("dynamic", -1, wrong=making.TOGETHER)
    assert artifact.outcome == "unsupported"
    assert artifact.reason.startswith("it takes one image, but not 17 at once: on 64 images the logits differ")


def test_a_network_that_takes_one_image_has_no_other_batch(batches, monkeypatch):
    monkeypatch.setattr(Source, "any_batch", False)
    assert batches.make(4, 4).reason == "the network itself takes one image at a time: export it for any batch"
