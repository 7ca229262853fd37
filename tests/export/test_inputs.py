"""What an export begins from: data sets, checkpoints and references, damaged, replaced or out of date."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from export import artifact as artifacts
from export import keys, matrix, planning
from export.__main__ import command
from models import cards, checkpoints, data, mirrors, reference
from models.common.errors import DataError, UsageError
from tests.export.conftest import of_the_test_images, printed


@pytest.fixture
def no_mnist(monkeypatch, tmp_path) -> Callable[[], None]:
    """Return a function that takes MNIST away: no folder, no cache, no mirror."""

    def take_away() -> None:
        monkeypatch.delenv("MNIST_DIR", raising=False)
        monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "no-cache"))
        monkeypatch.setattr(mirrors, "MIRRORS", ())
        data.load.cache_clear()

    return take_away


def datasets(folder: Path) -> set[str]:
    return {artifact.dataset.name for artifact in artifacts.load(folder)}


MNIST_MISSING = DataError, "MNIST_DIR=FOLDER.*--data digits"
REFUSED = [(more, *MNIST_MISSING) for more in ("", "--force", "--only=torch_cnn_small-onnx-int8")]
REFUSED += [("--data=digits", UsageError, "artifacts-digits.*--force")]


@pytest.mark.parametrize(("more", "error", "message"), REFUSED)
def test_the_digits_never_stand_in_where_artifacts_of_mnist_are(export, folder, no_mnist, more, error, message):
    export()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    no_mnist()
    with pytest.raises(error, match=f"holds 5 artifacts of mnist.*{message}"):
        export({}, *more.split())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_one_sidecar_of_an_earlier_version_is_enough_to_refuse(export, folder, no_mnist):
    folder.mkdir()
    for name, dataset in {"onnx-int8": {"name": "mnist"}, "onnx-int4": {"name": "digits"}, "rubbish": []}.items():
        (folder / f"torch_cnn-{name}.json").write_text(json.dumps({"dataset": dataset}))
    no_mnist()
    with pytest.raises(DataError, match="holds 1 artifacts of mnist"):
        export()


def test_on_a_fresh_machine_the_digits_stand_in_loudly_and_mnist_replaces_them(export, folder, no_mnist, monkeypatch):
    mnist = os.environ["MNIST_DIR"]
    no_mnist()
    for expected in ("5 made, 0 were current", "0 made, 5 were current"):
        data.load.cache_clear()  # each is a process of its own
        shown = export()
        for words in ("using scikit-learn's digits, not MNIST", "Judged on scikit-learn's digits", expected):
            assert words in shown
    monkeypatch.setenv("MNIST_DIR", mnist)
    data.load.cache_clear()
    assert "5 made, 0 were current" in export()
    assert datasets(folder) == {"mnist"}


def test_the_digits_by_name_go_into_a_folder_of_their_own_unless_forced(export, folder, tmp_path, monkeypatch, capsys):
    export()
    monkeypatch.chdir(tmp_path)
    command.main(["--only", "torch_cnn-onnx-*", "--data", "digits"], standalone_mode=False)
    assert "nox -s device_tests -- --artifacts artifacts-digits --results results-digits" in printed(capsys)
    assert datasets(tmp_path / "artifacts-digits") == {"digits"}
    assert datasets(folder) == {"mnist"}
    assert "5 made" in export({}, "--data", "digits", "--force")
    assert datasets(folder) == {"digits"}


@pytest.fixture
def own_checkpoint(tmp_path, monkeypatch) -> Path:
    """The model's checkpoint and card in a folder of their own, to be harmed."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(checkpoints.FOLDER, folder, ignore=shutil.ignore_patterns("keras*", "*small*"))
    monkeypatch.setattr(checkpoints, "FOLDER", folder)
    return folder / "torch_cnn.safetensors"


def test_damage_is_an_error_before_anything_is_written(export, folder, own_checkpoint):
    content = own_checkpoint.read_bytes()
    own_checkpoint.write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))
    with pytest.raises(DataError, match="torch_cnn.safetensors is damaged"):
        export()
    own_checkpoint.write_bytes(content)
    own_checkpoint.with_suffix(".json").write_text('{"sha256": 3}')
    with pytest.raises(DataError, match="is no card"):
        export()
    assert not folder.exists()


@pytest.mark.parametrize("card", ["no card", "another card"])
def test_a_checkpoint_of_a_users_own_is_exported_and_that_is_noted(export, folder, own_checkpoint, card):
    assert "NOTE" not in export()
    path = own_checkpoint.with_suffix(".json")
    if card == "another card":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "another"}))
    else:
        path.unlink()
    assert "NOTE: torch_cnn is exported, though it" in export()
    assert {a.outcome for a in artifacts.load(folder)} == {"ok"}


def saved_reference(folder: Path, **changes: str) -> Path:
    """Save a reference of torch_cnn as a lane would, with today's inputs but for `changes`."""
    checkpoint, dataset = cards.require_whole("torch_cnn").sha256, data.load("test").sha256
    inputs = keys.reference_inputs("torch_cnn", checkpoint_sha256=checkpoint, dataset_sha256=dataset) | changes
    file = reference.path(folder, "torch_cnn")
    reference.save(of_the_test_images(model="torch_cnn", inputs=inputs, key=keys.reference_key(inputs)), file)
    return file


@pytest.mark.parametrize(
    ("harm", "recipes"),
    [(None, None), ({"models/zoo/torch_cnn.py": "another"}, 0), ("truncated", 0), ("forced", 1)],
    ids=str,
)
def test_a_reference_is_made_again_unless_all_its_inputs_are_todays(idx_folder, folder, monkeypatch, harm, recipes):
    monkeypatch.setattr(artifacts, "is_current", lambda *_: True)
    file = saved_reference(folder, **(harm if isinstance(harm, dict) else {}))
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:-30])
    recipe, logs = matrix.select(("torch_cnn-onnx-int8",)), folder / "logs"
    jobs = planning.plan(recipe, dataset=None, folder=folder, logs=logs, force=harm == "forced")
    assert [len(job.recipes) for job in jobs] == ([] if recipes is None else [recipes])
    assert all(job.force == (harm == "forced") for job in jobs)
