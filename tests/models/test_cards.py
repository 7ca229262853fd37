"""Checkpoints against their cards: what is current, damaged, a user's own, or no card at all."""

import json

import pytest
from click.testing import CliRunner

from models import cards, checkpoints
from models.__main__ import command
from models.common.errors import DataError
from models.zoo import ZOO
from tests.models.conftest import put

TARGETS = {"torch_cnn": 0.994, "torch_cnn_small": 0.992, "keras_cnn": 0.994}
MODEL = "torch_cnn_small"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own with one model's committed checkpoint and card."""
    content, card = checkpoints.path(MODEL).read_bytes(), cards.path(MODEL).read_bytes()
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    checkpoints.path(MODEL).write_bytes(content)
    cards.path(MODEL).write_bytes(card)
    return tmp_path


def listed() -> str:
    result = CliRunner().invoke(command, ["--list", "--only", MODEL])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def change_card(**fields) -> None:
    cards.path(MODEL).write_text(json.dumps(json.loads(cards.path(MODEL).read_text()) | fields))


@pytest.mark.parametrize("model", ZOO.names())
def test_the_committed_checkpoint_matches_its_card_and_recipe(model):
    assert cards.is_current(model)


@pytest.mark.parametrize(("model", "target"), TARGETS.items())
def test_the_card_reports_the_accuracy_to_reach_with_its_interval(model, target):
    card = cards.read(model)
    low, high = card.test_accuracy_95
    assert card.test_accuracy >= target
    assert low < card.test_accuracy < high


def test_a_damaged_checkpoint_is_listed_as_damaged_and_is_not_exported(folder):
    content = bytearray(checkpoints.path(MODEL).read_bytes())
    content[-5] ^= 0x80  # a sign
    checkpoints.path(MODEL).write_bytes(content)
    assert f"{MODEL}: damaged" in listed()
    with pytest.raises(DataError, match=r"is damaged.*git checkout.*nox -s train -- --only torch_cnn_small"):
        cards.require_whole(MODEL)


def test_a_checkpoint_that_is_missing_is_listed_as_to_be_trained_and_is_not_exported(folder):
    checkpoints.path(MODEL).unlink()
    assert listed() == f"{MODEL}: to be trained"
    with pytest.raises(DataError, match="is not there.*nox -s train -- --only torch_cnn_small"):
        cards.require_whole(MODEL)


def test_a_checkpoint_without_its_card_or_of_other_training_settings_may_be_a_users_own(folder):
    change_card(fingerprint="another")
    assert "others than its card's" in listed()
    assert cards.require_whole(MODEL).state == "other_settings"
    cards.path(MODEL).unlink()
    assert "it has no card" in listed()
    assert cards.require_whole(MODEL).state == "no_card"


WRONG = {
    "sha256": [None, "short", 3],
    "test_accuracy": ["99 %", 99.5, None],
    "test_accuracy_95": [[0.9], 0.9],
    "parameters": [-1],
    "data": [[], {"name": "mnist", "sha256": None}],
    "fingerprint": [["d2e96ef1e6fe13ab"]],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_card_of_wrong_types_is_a_sentence_for_every_command(folder, field, value):
    change_card(**{field: value})
    assert "is no card" in listed()
    with pytest.raises(DataError, match="is no card .*nox -s train -- --force --only torch_cnn_small"):
        cards.require_whole(MODEL)
    assert isinstance(CliRunner().invoke(command, ["--only", MODEL]).exception, DataError)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"test_accuracy": NaN}'],
    ids=lambda t: repr(t[:9]),
)
def test_a_card_that_is_no_json_is_a_sentence(folder, text):
    cards.path(MODEL).write_bytes(text)
    assert "is no card" in listed()


@pytest.mark.parametrize(
    ("path", "kind", "shown"),
    [(cards.path, "fifo", "is no regular file"), (checkpoints.path, "folder", "cannot be read: it is a folder")],
)
def test_what_is_no_regular_file_is_a_sentence(folder, path, kind, shown):
    path(MODEL).unlink()
    put(kind, path(MODEL))
    assert shown in listed()


def test_a_card_survives_the_file(folder):
    before = cards.path(MODEL).read_bytes()
    cards.save(cards.read(MODEL))
    assert cards.path(MODEL).read_bytes() == before


@pytest.mark.parametrize("logs", ["", "a\0b"])
def test_logs_in_no_folder_are_refused(logs):
    result = CliRunner().invoke(command, ["--logs", logs])
    assert result.exit_code == 2
    assert "'--logs'" in result.output
