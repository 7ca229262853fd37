"""What counts as a change against an earlier run, and what must not be compared at all."""

import json
import math
import subprocess
from functools import partial

import pytest
from msgspec.structs import asdict

from device_tests.gates import baseline
from models.common.errors import DataError
from tests.device_tests.conftest import measured

COUNTED = {"instructions": 1_000_000, "instructions_cpu": "qemu max", "checkpoint_sha256": "c" * 64,
           "dataset": {"name": "mnist", "sha256": "d" * 64}}  # fmt: skip
row = partial(measured, **COUNTED)


def compared(before, *after) -> baseline.Comparison:
    return baseline.compare(after, {before.id: baseline.line(before)})


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
def test_a_difference_gives_its_verdict(facts, verdicts):
    assert [(v.metric, v.state) for v in compared(row(), row(**facts)).verdicts] == verdicts


def test_an_unclaimed_gain_asks_for_a_new_baseline_and_a_loss_is_worse_up_to_what_broke():
    (gain,), (loss,) = (compared(row(), row(size_bytes=size)).verdicts for size in (500, 1_500))
    assert gain.message == "1,000 → 500 (-500, -50.00%): a gain; claim it with nox -s check -- --update-baseline"
    assert (gain.excess, loss.excess) == (-0.5, 0.5)

    ok, broken = row(), row(outcome="run_failed", reason="killed")
    (worst,), (best,) = compared(ok, broken).verdicts, compared(broken, ok).verdicts
    assert (worst.excess, best.excess, worst.message) == (math.inf, -math.inf, "ok → run_failed: killed")


def test_what_is_as_before_is_counted_also_across_checkpoints():
    assert compared(row(), row()).unchanged == 2
    assert compared(row(), row(instructions=None)).unchanged == 1
    assert compared(row(), row(outcome="skipped")).unchanged == 0
    comparison = compared(row(), row(checkpoint_sha256="e" * 64, correct=5))
    (verdict,) = comparison.verdicts
    assert (comparison.unchanged, verdict.metric, verdict.state) == (2, "correct", "skipped")
    assert "of another checkpoint than the baseline" in verdict.message


@pytest.mark.parametrize("device", ["desktop", "ssh:me@board"])
def test_new_cells_and_cells_that_are_gone_are_said_also_where_a_device_holds_an_at_sign(device):
    there = row(device=device)
    lines = {f"gone@torch@{device}": baseline.line(there)}
    messages = {v.id: v.message.split(":")[0] for v in baseline.compare((there,), lines).verdicts}
    assert messages == {there.id: "not in the baseline", f"gone@torch@{device}": "no longer in the matrix"}


def test_a_baseline_is_one_sorted_line_per_cell_also_in_a_revision(tmp_path, monkeypatch):
    file = tmp_path / baseline.FILE
    rows = (row(runtime="torch"), row(runtime="litert"))
    assert baseline.save(rows, file) == 2
    lines = file.read_text().splitlines()
    assert [line.split("@")[1] for line in lines[1:-1]] == ["litert", "torch"]
    assert baseline.compare(rows, baseline.load(str(file))).verdicts == ()
    before = file.read_bytes()
    assert baseline.save(rows[::-1], file) == 0
    assert file.read_bytes() == before
    monkeypatch.chdir(tmp_path)
    for command in ("init -q", f"add {baseline.FILE}", "-c user.name=a -c user.email=a@b.c commit -q -m a"):
        subprocess.run(["git", *command.split()], check=True)
    file.unlink()
    assert baseline.load("HEAD") == {row.id: baseline.line(row) for row in rows}


def test_an_update_keeps_lines_without_a_result_and_of_devices_that_have_not_run_and_drops_one_that_is_gone(tmp_path):
    file = tmp_path / baseline.FILE
    here, there = row(), row(device="cortex-a53")
    baseline.save((here, row(runtime="litert"), there), file)
    baseline.save((row(outcome="skipped"),), file)
    assert baseline.load(str(file)) == {here.id: baseline.line(here), there.id: baseline.line(there)}
    assert baseline.compare((here,), baseline.load(str(file))).verdicts == ()
    baseline.save((row(instructions=None, instructions_cpu=""),), file)  # as long as the file is the same
    assert baseline.load(str(file))[here.id].instructions == 1_000_000
    baseline.save((row(instructions=None, size_bytes=2_000),), file)
    assert baseline.load(str(file))[here.id].instructions is None


def test_what_is_left_out_or_does_not_count_keeps_its_line_and_is_no_change(tmp_path):
    file = tmp_path / baseline.FILE
    here, left_out = row(), row(scheme="int8")
    baseline.save((here, left_out), file)
    damaged = row(outcome="load_failed", evidence="unusable", size_bytes=None)
    (verdict,) = baseline.compare((damaged,), baseline.load(str(file))).verdicts
    assert (verdict.id, verdict.state) == (here.id, "skipped")
    baseline.save((damaged,), file)
    assert baseline.load(str(file)) == {one.id: baseline.line(one) for one in (here, left_out)}


def test_what_is_neither_file_nor_revision_or_no_baseline_or_holds_no_cell_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("nowhere", "--output=x", "x" * 5_000, "a\0b"):
        with pytest.raises(DataError, match="neither a file nor a revision.*--update-baseline"):
            baseline.load(name)
    assert list(tmp_path.iterdir()) == []

    file = tmp_path / baseline.FILE
    no_number = json.dumps({"cells": {"a": asdict(baseline.line(row())) | {"size_bytes": "1"}}})
    for content in ("{", "[]", '{"cells": {"a": 3}}', '{"cells": {"a": {"outcome": "ok"}}}', no_number):
        file.write_text(content)
        with pytest.raises(DataError, match="is no baseline.*Restore it, or remove it"):
            baseline.load(str(file))
    file.write_text('{"cells": {}}')
    with pytest.raises(DataError, match="holds no cell.*Restore it, or remove it"):
        baseline.load(str(file))
