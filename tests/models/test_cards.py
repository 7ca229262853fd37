"""Checkpoints against their cards: what is current, damaged, a user's own, or no card at all."""

import json

import pytest
from click.testing import CliRunner

from models import cards, checkpoints
from models.__main__ import command
from models.common.errors import DataError
from models.zoo import ZOO

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
def test_the_committed_checkpoint_is_its_cards_which_reports_the_accuracy_to_reach_with_its_interval(model):
    assert cards.is_current(model)
    card = cards.read(model)
    low, high = card.test_accuracy_95
    assert card.test_accuracy >= TARGETS[model]
    assert low < card.test_accuracy < high


def test_a_checkpoint_that_is_damaged_or_missing_is_listed_as_that_and_is_not_exported(folder):
    content = bytearray(checkpoints.path(MODEL).read_bytes())
    content[-5] ^= 0x80  # a sign
    checkpoints.path(MODEL).write_bytes(content)
    assert f"{MODEL}: damaged" in listed()
    with pytest.raises(DataError, match=r"is damaged.*git checkout.*nox -s train -- --only torch_cnn_small"):
        cards.require_whole(MODEL)
    checkpoints.path(MODEL).unlink()
    assert listed() == f"{MODEL}: to be trained"
    with pytest.raises(DataError, match="is not there.*nox -s train -- --only torch_cnn_small"):
        cards.require_whole(MODEL)
    checkpoints.path(MODEL).mkdir()
    assert "cannot be read: it is a folder" in listed()


def test_a_checkpoint_without_its_card_or_of_other_training_settings_may_be_a_users_own(folder):
    before = cards.path(MODEL).read_bytes()
    cards.save(cards.read(MODEL))
    assert cards.path(MODEL).read_bytes() == before, "a card survives the file"
    change_card(fingerprint="another")
    assert "others than its card's" in listed()
    assert cards.require_whole(MODEL).state == "other_settings"
    cards.path(MODEL).unlink()
    assert "it has no card" in listed()
    assert cards.require_whole(MODEL).state == "no_card"


@pytest.mark.parametrize(
    "content",
    [{"sha256": None}, {"sha256": "short"}, {"sha256": 3}, {"test_accuracy": "99 %"}, {"test_accuracy": 99.5},
     {"test_accuracy": None}, {"test_accuracy_95": [0.9]}, {"test_accuracy_95": 0.9}, {"parameters": -1}, {"data": []},
     {"data": {"name": "mnist", "sha256": None}}, {"fingerprint": ["d2e96ef1e6fe13ab"]}, b"", b"{", b"\xff\xfe"],
    ids=str,
)  # fmt: skip
def test_a_broken_card_is_a_sentence_for_every_command(folder, content):
    if isinstance(content, dict):
        change_card(**content)
    else:
        cards.path(MODEL).write_bytes(content)
    assert "is no card" in listed()
    for use in (lambda: cards.require_whole(MODEL), lambda: command.main(["--only", MODEL], standalone_mode=False)):
        with pytest.raises(DataError, match="is no card .*nox -s train -- --force --only torch_cnn_small"):
            use()


@pytest.mark.parametrize("logs", ["", "a\0b"])
def test_logs_in_no_folder_are_refused(logs):
    result = CliRunner().invoke(command, ["--logs", logs])
    assert result.exit_code == 2
    assert "'--logs'" in result.output
