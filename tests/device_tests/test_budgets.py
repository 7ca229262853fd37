"""Limits, the verdicts that they give, and budget files that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_tests import budgets
from device_tests.budgets import Budget
from device_tests.cells import cells
from models.errors import DataError, UsageError

ROOT = Path(__file__).parents[2]
IDS = tuple(cell.id for cell in cells())
EVERY = {"ids": ("*",), "why": "because"}


def limits(*rows: dict) -> tuple[Budget, ...]:
    return tuple(Budget(**(EVERY | row)) for row in rows)


@pytest.mark.parametrize(
    ("limit", "facts", "state"),
    [
        ({"metric": "size_bytes", "max": 1_000}, {"size_bytes": 1_000}, "pass"),
        ({"metric": "size_bytes", "max": 1_000}, {"size_bytes": 1_001}, "fail"),
        ({"metric": "compressed_bytes", "max": 1_000}, {"compressed_bytes": 1_001}, "fail"),
        ({"metric": "top1", "min": 0.99}, {"correct": 9_900}, "pass"),
        ({"metric": "top1", "min": 0.99}, {"correct": 9_899}, "fail"),
        ({"metric": "agreement", "min": 1.0}, {"agree": 9_999}, "fail"),
        ({"metric": "max_abs_error", "max": 1.0}, {"max_abs_error": 1e7}, "fail"),
        ({"metric": "size_bytes", "max": 1}, {"outcome": "run_failed", "reason": "killed by SIGSEGV"}, "skipped"),
        ({"metric": "top1", "min": 0.5}, {"outcome": "skipped", "reason": "not run"}, "skipped"),
        ({"metric": "outcome", "outcome": "ok"}, {}, "pass"),
        ({"metric": "outcome", "outcome": "ok"}, {"outcome": "mismatch", "reason": "garbage"}, "fail"),
        ({"metric": "outcome", "outcome": "ok"}, {"outcome": "skipped", "reason": "not run"}, "skipped"),
        ({"metric": "outcome", "outcome": "mismatch"}, {"outcome": "mismatch", "reason": "garbage"}, "pass"),
        ({"metric": "outcome", "outcome": "mismatch"}, {"outcome": "timed_out", "reason": "hangs"}, "fail"),
    ],
)
def test_a_limit_gives_its_verdict(measured, limit, facts, state):
    (verdict,) = budgets.check(limits(limit), (measured(**facts),))
    assert verdict.state == state
    assert facts.get("reason", "") in verdict.says


def test_the_last_row_that_matches_decides(measured):
    rule = {"metric": "agreement", "min": 1.0}
    exception = {"metric": "agreement", "min": 0.9, "ids": ("*-int8@*",)}
    rows = (measured(agree=9_500), measured(scheme="int8", agree=9_500))
    assert [v.state for v in budgets.check(limits(rule, exception), rows)] == ["fail", "pass"]


def test_a_known_failure_that_is_healed_passes_and_is_reported(measured):
    (verdict,) = budgets.check(limits({"metric": "outcome", "outcome": "mismatch"}), (measured(),))
    assert (verdict.state, verdict.says.split(":")[0]) == ("pass", "healed")


def test_without_a_budget_a_cell_is_expected_to_be_ok():
    assert budgets.expected_outcome((), "x") == "ok"


ROW = 'ids = ["*"]\nmetric = "top1"\nmin = 0.9\nwhy = "because"\n'


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("[[budget]", DataError, "is no TOML"),
        ("[budgets]\n", UsageError, r"may hold \[\[budget\]\] tables only"),
        ("[[budget]]\n" + ROW.replace("top1", "top2"), UsageError, "budget 1: there is no metric 'top2'. Did you mean"),
        (f"[[budget]]\n{ROW}[[budget]]\n{ROW}maxx = 1\n", UsageError, "budget 2: there is no key 'maxx'. Did you mean"),
        ("[[budget]]\n" + ROW.replace('"*"', '"*@litrt@*"'), UsageError, "matches no cell"),
        ("[[budget]]\n" + ROW.replace('["*"]', '"*"'), UsageError, "must be a list of globs"),
        ("[[budget]]\n" + ROW.replace("min = 0.9\n", ""), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace("0.9", '"0.9"'), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace("0.9", "0.9\nis = \"ok\""), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace('why = "because"', ""), UsageError, "`why` is missing"),
        ("[[budget]]\n" + ROW.replace("top1", "outcome"), UsageError, "`outcome` takes `is`"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_meant_is_refused(tmp_path, content, error, says):
    file = tmp_path / "budgets.toml"
    file.write_text(content)
    with pytest.raises(error, match=says):
        budgets.load(file, IDS)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        budgets.load(tmp_path / "budgets.toml", IDS)


def test_the_projects_own_budgets_are_well_formed_and_limit_every_outcome():
    loaded = budgets.load(ROOT / "budgets.toml", IDS)
    assert all(budgets.decisive(loaded, id, "outcome") for id in IDS)
