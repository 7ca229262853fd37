"""What counts as a change against an earlier run, and what must not be compared at all."""

from __future__ import annotations

import json
import math
import subprocess

import pytest
from msgspec.structs import asdict, replace

from device_tests.gates import baseline
from models.errors import DataError, UsageError

COUNTED = {"instructions": 1_000_000, "instructions_cpu": "qemu max", "checkpoint_sha256": "c" * 64,
           "dataset": {"name": "mnist", "sha256": "d" * 64}}  # fmt: skip


@pytest.fixture
def row(measured):
    return lambda **facts: measured(**COUNTED | facts)


def compared(before, after):
    lines = {before.id: baseline.line(before)}
    return [(v.metric, v.state) for v in baseline.compare((after,), lines).verdicts]


@pytest.mark.parametrize(
    ("facts", "verdicts"),
    [
        ({}, []),
        ({"size_bytes": 1_065}, [("size_bytes", "fail")]),
        ({"size_bytes": 935}, [("size_bytes", "fail")]),
        ({"size_bytes": 1_064}, []),
        ({"instructions": 1_001_900}, []),
        ({"instructions": 1_002_100}, [("instructions", "fail")]),
        ({"instructions": 997_900}, [("instructions", "fail")]),
        ({"instructions": None}, [("instructions", "skipped")]),
        ({"instructions": 5, "instructions_cpu": "other"}, [("instructions", "skipped")]),
        ({"correct": 9_899, "agree": 9_999}, [("correct", "pass"), ("agree", "pass")]),
        ({"total": 1_000, "correct": 990, "agree": 1_000}, [("correct", "skipped")]),
        ({"outcome": "mismatch", "reason": "garbage"}, [("outcome", "pass")]),
        ({"outcome": "skipped", "reason": "not run"}, [("outcome", "skipped")]),
        ({"checkpoint_sha256": "e" * 64, "size_bytes": 5}, [("size_bytes", "fail"), ("correct", "skipped")]),
        ({"checkpoint_sha256": "e" * 64, "outcome": "mismatch"}, [("outcome", "pass")]),
        ({"checkpoint_sha256": "", "dataset": {}, "outcome": "export_failed"}, [("outcome", "pass")]),
        ({"dataset": {"name": "digits", "sha256": "e" * 64}, "correct": 5}, [("correct", "skipped")]),
    ],
)
def test_a_difference_gives_its_verdict(row, facts, verdicts):
    assert compared(row(), row(**facts)) == verdicts


def test_an_unclaimed_gain_asks_for_a_new_baseline_and_a_loss_is_worse(row):
    lines = {row().id: baseline.line(row())}
    (gain,), (loss,) = (baseline.compare((row(size_bytes=size),), lines).verdicts for size in (500, 1_500))
    assert gain.message == "1,000 → 500 (-500, -50.00%): a gain; claim it with nox -s check -- --update-baseline"
    assert (gain.excess, loss.excess) == (-0.5, 0.5)


def test_a_cell_that_broke_is_worst_and_one_that_healed_is_best(row):
    ok, broken = row(), row(outcome="run_failed", reason="killed")
    (worst,), (best,) = (
        baseline.compare((after,), {after.id: baseline.line(before)}).verdicts
        for before, after in ((ok, broken), (broken, ok))
    )
    assert (worst.excess, best.excess, worst.message) == (math.inf, -math.inf, "ok → run_failed: killed")


def test_what_is_as_before_is_counted(row):
    lines = {row().id: baseline.line(row())}
    assert baseline.compare((row(),), lines).unchanged == 2
    assert baseline.compare((row(instructions=None),), lines).unchanged == 1
    assert baseline.compare((row(outcome="skipped"),), lines).unchanged == 0


def test_new_cells_and_cells_that_are_gone_are_said(row):
    lines = {"gone@torch@desktop": baseline.line(row())}
    messages = {v.id: v.message.split(":")[0] for v in baseline.compare((row(),), lines).verdicts}
    assert messages == {row().id: "not in the baseline", "gone@torch@desktop": "no longer in the matrix"}


def test_a_baseline_is_one_sorted_line_per_cell(row, tmp_path):
    file = tmp_path / baseline.FILE
    rows = (row(runtime="torch"), row(runtime="litert"))
    assert baseline.save(rows, file) == 2
    lines = file.read_text().splitlines()
    assert [line.split("@")[1] for line in lines[1:-1]] == ["litert", "torch"]
    assert baseline.compare(rows, baseline.load(str(file))).verdicts == ()
    before = file.read_bytes()
    assert baseline.save(rows[::-1], file) == 0
    assert file.read_bytes() == before


def test_an_update_keeps_the_line_of_a_cell_without_a_result_and_drops_one_that_is_gone(row, tmp_path):
    file = tmp_path / baseline.FILE
    baseline.save((row(runtime="torch"), row(runtime="litert")), file)
    baseline.save((row(runtime="torch", outcome="skipped"),), file)
    assert baseline.load(str(file)) == {row().id: baseline.line(row())}


def test_devices_that_have_not_run_here_keep_their_lines_and_are_not_called_gone(row, tmp_path):
    file = tmp_path / baseline.FILE
    here, there = row(), replace(row(), device="cortex-a53")
    baseline.save((here, there), file)
    baseline.save((here,), file)
    assert baseline.load(str(file)).keys() == {here.id, there.id}
    assert baseline.compare((here,), baseline.load(str(file))).verdicts == ()


def test_a_baseline_is_read_from_a_revision(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline.save((row(),), tmp_path / baseline.FILE)
    for command in ("init -q", f"add {baseline.FILE}", "-c user.name=a -c user.email=a@b.c commit -q -m a"):
        subprocess.run(["git", *command.split()], check=True)
    (tmp_path / baseline.FILE).unlink()
    assert baseline.load("HEAD") == {row().id: baseline.line(row())}


@pytest.mark.parametrize("name", ["nowhere", "--output=x"])
def test_what_is_neither_file_nor_revision_is_said(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"neither a file nor a revision.*--update-baseline"):
        baseline.load(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": {"a": 3}}', '{"cells": {"a": {"outcome": "ok"}}}'])
def test_a_file_that_is_no_baseline_is_said(tmp_path, content):
    file = tmp_path / "b.json"
    file.write_text(content)
    with pytest.raises(DataError, match="is no baseline"):
        baseline.load(str(file))


def test_a_figure_that_is_no_number_is_said(row, tmp_path):
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"cells": {"a": asdict(baseline.line(row())) | {"size_bytes": "1"}}}))
    with pytest.raises(DataError, match="is no baseline"):
        baseline.load(str(file))


def test_an_empty_baseline_compares_with_nothing_and_is_an_error(tmp_path):
    file = tmp_path / "b.json"
    file.write_text('{"cells": {}}')
    with pytest.raises(DataError, match="holds no cell"):
        baseline.load(str(file))


@pytest.mark.parametrize("name", ["", "  "])
def test_a_baseline_without_a_name_is_an_error(name):
    with pytest.raises(UsageError, match="--baseline needs a file"):
        baseline.load(name)


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b"])
def test_a_name_that_no_file_can_have_is_an_error(name):
    with pytest.raises(DataError, match="neither a file nor a revision"):
        baseline.load(name)


def test_sizes_and_costs_are_compared_across_checkpoints_and_each_figure_counts_once(row):
    lines = {row().id: baseline.line(row())}
    comparison = baseline.compare((row(checkpoint_sha256="e" * 64, correct=5),), lines)
    assert comparison.unchanged == 2
    (verdict,) = comparison.verdicts
    assert (verdict.metric, verdict.state) == ("correct", "skipped")
    assert "of another checkpoint than the baseline" in verdict.message


def test_a_count_that_this_run_does_not_have_is_kept_while_the_file_is_the_same(row, tmp_path):
    file = tmp_path / baseline.FILE
    baseline.save((row(),), file)
    baseline.save((row(instructions=None, instructions_cpu=""),), file)
    assert baseline.load(str(file))[row().id].instructions == 1_000_000
    baseline.save((row(instructions=None, size_bytes=2_000),), file)
    assert baseline.load(str(file))[row().id].instructions is None


def test_a_board_whose_name_holds_an_at_sign_loses_its_cells_like_every_device(row):
    there = row(device="ssh:me@board")
    lines = {"gone@torch@ssh:me@board": baseline.line(there), there.id: baseline.line(there)}
    lost = [v.id for v in baseline.compare((there,), lines).verdicts if v.message.startswith("no longer in the matrix")]
    assert lost == ["gone@torch@ssh:me@board"]
