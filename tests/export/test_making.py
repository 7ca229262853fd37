"""What becomes of recipes, without any framework: a format does as it is scripted, and goes wrong."""

import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export import artifact as artifacts
from export import isolated, lane, making, phases
from export import recipe as recipes
from export.artifact import Artifact
from export.contract import EVERY, Contents, Tensor
from export.recipe import Recipe
from export.schemes import SCHEMES
from export.source import Source
from models import checkpoints
from models.common.errors import DataError
from models.own.settings import Options
from models.profile import Layer, Profile
from models.reference import Reference
from tests.export.conftest import of_the_test_images

RECIPE = Recipe(model="torch_cnn_small", format="scripted", scheme="float32")


def contents(batch: int = 1, weights: int = 21_840) -> Contents:
    return Contents(
        inputs=(Tensor(name="image", shape=(batch, 1, 28, 28), dtype="float32"),),
        outputs=(Tensor(name="logits", shape=(batch, 10), dtype="float32"),),
        weights={"float32": weights},
    )


@pytest.fixture
def expected(idx_folder) -> Reference:
    return of_the_test_images()


@pytest.fixture
def scripted(monkeypatch, expected) -> SimpleNamespace:
    """A format that writes the right number of bytes and answers as the reference; tests replace its functions."""
    hardest = np.argsort(expected.margins, kind="stable")[: making.GOLDEN_HARDEST]
    index = np.concatenate([np.arange(making.PARITY_IMAGES), hardest])
    module = SimpleNamespace(
        suffix=".scripted",
        tools={RECIPE.framework: ("numpy",)},
        convert=lambda source, scheme, target: target.write_bytes(bytes(88_000)),
        inspect=lambda path: contents(),
        run=lambda path, images: expected.logits[index].copy(),
    )
    for place in (making, recipes):
        monkeypatch.setattr(place, "FORMATS", {"scripted": module})
    # counted without a framework: the network is never made
    profile = Profile(parameters=21_840, layers=(Layer(shape=(21_840,), macs=1),))
    monkeypatch.setattr(making, "profile_of", lambda source: profile)
    monkeypatch.setattr(making, "distinct_weights", lambda source: 21_840)
    for name, value in {"network": None, "layout": "chw", "classes": 10}.items():
        monkeypatch.setattr(Source, name, value)
    return module


@pytest.fixture
def make(scripted, expected, tmp_path) -> Callable[[], Artifact]:
    """Return a function that makes the recipe, saves it, and returns what the folder then says."""

    def make() -> Artifact:
        folder = tmp_path / "artifacts"
        artifacts.save(making.make(RECIPE, Source(RECIPE.model, "mnist"), expected, folder, "k"), folder)
        return artifacts.read(artifacts.sidecar_path(folder, RECIPE.id))

    return make


def failing(error: BaseException):
    def fails(source_or_path, scheme_or_images, target=None):
        if target:
            target.write_bytes(b"half")
        raise error

    return fails


@pytest.mark.parametrize(
    ("function", "does", "outcome", "reason"),
    [
        ("convert", failing(SystemExit(2)), "export_failed", "SystemExit: 2"),
        ("convert", failing(RuntimeError()), "export_failed", "RuntimeError: no message"),
        ("convert", failing(MemoryError("no room")), "export_failed", "MemoryError: no room"),
        ("convert", failing(RecursionError("too deep")), "export_failed", "RecursionError: too deep"),
        ("convert", failing(OSError(28, "No space")), "export_failed", "StorageError: Cannot write .*the disk is full"),
        # no sidecar holds it
        ("inspect", lambda path: contents(weights=np.int64(21_840)), "export_failed", "TypeError"),
        ("run", failing(RuntimeError("Failed")), "unsupported", ".*was written, but does not run in its own runtime"),
        ("run", failing(isolated.Failed("pnnx was killed by signal 11")), "export_failed", "Failed: pnnx was killed"),
        ("run", failing(MemoryError("no room")), "export_failed", "MemoryError: no room"),
    ],
    ids=lambda value: "" if callable(value) else value,
)
def test_whatever_goes_wrong_is_the_outcome_of_its_recipe(scripted, make, tmp_path, function, does, outcome, reason):
    make()
    setattr(scripted, function, does)
    failed = make()
    assert (failed.outcome, failed.file) == (outcome, "")
    assert re.match(reason, failed.reason)
    assert [file.name for file in (tmp_path / "artifacts").iterdir()] == [f"{RECIPE.id}.json"]


def test_the_reason_is_what_an_error_was_raised_from_without_the_colours_of_a_terminal(scripted, make):
    """torch.onnx tells the step that failed, in colours, and what to file an issue about."""

    def convert(*_):
        try:
            raise ValueError("in /home/me/site-packages/torch/ops.py: no operator")
        except ValueError as error:
            msg = "Failed to decompose the graph. \x1b[96mThis is step 2/3\x1b[0m of exporting. Next steps:\n- Create an issue"
            raise RuntimeError(msg) from error

    scripted.convert = convert
    assert (
        make().reason
        == "RuntimeError: Failed to decompose the graph, because of ValueError: in torch/ops.py: no operator"
    )


def test_a_conversion_that_several_schemes_start_from_is_not_tried_again_after_it_failed(idx_folder):
    calls = []

    def make(error):
        calls.append(error)
        raise error

    source = Source(RECIPE.model, "mnist")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no such layer"):
            source.memo("float", lambda: make(RuntimeError("no such layer")))
        with pytest.raises(OSError, match="full"):  # which may not be so next time
            source.memo("disk", lambda: make(OSError("full")))
    assert [type(error) for error in calls] == [RuntimeError, OSError, OSError]


def test_a_library_that_lacks_another_is_unsupported_though_imports_are_watched(scripted, make, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib._bootstrap, "_find_and_load", importlib._bootstrap._find_and_load)
    phases.watch_imports()
    library = tmp_path / "site-packages" / "converter.py"
    library.parent.mkdir()
    library.write_text("def convert(*_):\n    import no_such_backend\n")
    monkeypatch.syspath_prepend(str(library.parent))
    scripted.convert = lambda *arguments: importlib.import_module("converter").convert(*arguments)
    row = make()
    assert (row.outcome, "no_such_backend" in row.reason) == ("unsupported", True)


def test_logits_that_are_not_finite_fail_though_only_the_hardest_image_has_them(scripted, make):
    logits = scripted.run(None, None)
    logits[-1, 3] = np.nan
    scripted.run = lambda path, images: logits
    failed = make()
    assert (failed.outcome, "not finite" in failed.reason, failed.file) == ("export_failed", True, "")


def test_training_meanwhile_changes_neither_what_is_exported_nor_its_label(scripted, make, tmp_path, monkeypatch):
    """The old code digested the checkpoint again after the conversion: what training had put there by then."""
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    file = checkpoints.path(RECIPE.model)
    file.write_bytes(b"what was loaded")

    def train_meanwhile(source, scheme, target):
        assert source.checkpoint == b"what was loaded"
        file.write_bytes(b"what training wrote")
        target.write_bytes(bytes(88_000))

    scripted.convert = train_meanwhile
    artifact = make()
    assert artifact.outcome == "ok", artifact.reason
    assert artifact.checkpoint_sha256 == checkpoints.digest(b"what was loaded")


def test_the_bare_network_is_the_bytes_that_were_loaded(tmp_path, monkeypatch):
    from export.formats import eager

    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    file = checkpoints.path(RECIPE.model)
    file.write_bytes(b"what was loaded")
    start = Source(RECIPE.model, "mnist")
    assert start.checkpoint_sha256 == checkpoints.digest(b"what was loaded")
    file.write_bytes(b"what training wrote")
    eager.convert(start, "float32", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"what was loaded"


def test_a_checkpoint_that_was_replaced_before_it_was_loaded_ends_the_lane(tmp_path):
    start = Source(RECIPE.model, "mnist")
    with pytest.raises(DataError, match="was replaced when its export had begun"):
        lane._prepared(start, tmp_path, {"checkpoint_sha256": "of what was planned"})


@pytest.mark.parametrize("unchanged", [True, False])
def test_what_a_signal_killed_before_is_not_rewritten_and_says_so(scripted, expected, tmp_path, monkeypatch, unchanged):
    scripted.rewrites = ("views",)
    scripted.rewritten = lambda content, name: (content + b"!", ["conv"])
    monkeypatch.setattr(lane, "_opened", lambda *_: Source(RECIPE.model, "mnist"))
    monkeypatch.setattr(lane, "_prepared", lambda *_: expected)
    order = {"recipe": vars(RECIPE), "key": "k", "rewrites": True, "unchanged": unchanged}
    unit = {"model": RECIPE.model, "dataset": "mnist", "folder": str(tmp_path), "force": True, "recipes": [order]}
    lane.work_off(unit, lambda **event: None)
    artifact = artifacts.read(artifacts.sidecar_path(tmp_path, RECIPE.id))
    assert artifact.outcome == "ok", artifact.reason
    assert (lane.UNCHANGED in artifact.notes) == unchanged
    assert [rewrite.name for rewrite in artifact.rewrites] == ([] if unchanged else ["views"])


@pytest.fixture
def batches(scripted, make, monkeypatch):
    """Return a function that makes the recipe for a batch, with a file that is written for another, and tells the runs."""
    logits_of, runs = scripted.run, []
    monkeypatch.setattr(Source, "any_batch", True)
    scripted.options = {EVERY: ("batch",)}

    def make_for(batch: object, shape: int, wrong: object = None) -> Artifact:
        def answer(path: Path, images: np.ndarray, batch: int = 1) -> np.ndarray:
            runs.append(batch)
            logits = logits_of(path, images)[: len(images)]
            return -logits if batch == wrong else logits

        scripted.run, scripted.inspect = answer, lambda path: contents(shape)
        monkeypatch.setattr(making, "SCHEMES", {"float32": replace(SCHEMES["float32"], options=Options(batch=batch))})
        return make()

    return SimpleNamespace(make=make_for, runs=runs)


@pytest.mark.parametrize(("batch", "shape", "runs"), [(4, 4, [4]), (1, 1, [1]), ("dynamic", -1, [1, making.TOGETHER])])
def test_a_file_is_judged_in_the_batch_that_it_is_for_and_one_for_any_in_two(batches, batch, shape, runs):
    artifact = batches.make(batch, shape)
    assert (artifact.outcome, artifact.batch, artifact.options) == ("ok", shape, Options(batch=batch)), artifact.reason
    assert batches.runs == runs


@pytest.mark.parametrize(
    ("batch", "shape", "wrong", "reason"),
    [
        *((batch, shape, None, "scripted makes files for ") for batch, shape in ((4, 1), ("dynamic", 1), (1, -1))),
        ("dynamic", -1, making.TOGETHER, "^it takes one image, but not 17 at once: on 64 images the logits differ"),
    ],
)
def test_a_file_that_does_not_heed_the_batch_or_answers_otherwise_is_unsupported(batches, batch, shape, wrong, reason):
    artifact = batches.make(batch, shape, wrong=wrong)
    assert artifact.outcome == "unsupported"
    assert re.search(reason, artifact.reason)


def test_a_network_that_takes_one_image_has_no_other_batch(batches, monkeypatch):
    monkeypatch.setattr(Source, "any_batch", False)
    assert batches.make(4, 4).reason == "the network itself takes one image at a time: export it for any batch"
