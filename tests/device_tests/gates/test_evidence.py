"""Which budgets must decide something: those of engines that a quick run leaves out, once they have run."""

from __future__ import annotations

import pytest

from device_tests.cells import cells
from device_tests.gates import budgets, evidence
from device_tests.gates.budgets import Budget
from device_tests.gates.verdicts import check
from models.environments import ROOT

FIRST = Budget(ids=("*",), metric="outcome", outcomes=("ok",), why="each runs")


@pytest.fixture
def lacks(measured):
    """Return a function that gives the budgets which lack evidence, for an arena that is (not) known of a run (or none)."""

    def lacking(*, ran: bool, arena_bytes: int | None, ids: tuple[str, ...]) -> list[str]:
        row = measured("int8", "litert", "tflite")
        rows = (row, measured("int8", "tflite_micro", "tflite", arena_bytes=arena_bytes)) if ran else (row,)
        arenas = Budget(ids=ids, metric="arena_bytes", max=10_000, why="w", line=7)
        verdicts = check((FIRST, arenas), rows)
        return [lack.why for lack in evidence.lacks(rows, (FIRST, arenas), verdicts)]

    return lacking


FURTHER = ("*-tflite-int8@tflite_micro@*",)


@pytest.mark.parametrize("ids", [FURTHER, ("*@openvino@cortex-*",), ("*@openvino@cortex-a76", "*@ncnn@desktop")])
def test_a_budget_of_a_further_engine_needs_no_figure_where_a_quick_run_left_the_engine_out(lacks, ids):
    assert lacks(ran=False, arena_bytes=None, ids=ids) == []


def test_it_must_decide_something_once_the_engine_has_run(lacks):
    (why,) = lacks(ran=True, arena_bytes=None, ids=FURTHER)
    assert why.startswith("line 7: the budget of arena_bytes decides nothing, for each of its 1 cells")
    assert lacks(ran=True, arena_bytes=9_000, ids=FURTHER) == []


def test_a_budget_that_other_cells_have_a_part_in_must_decide_something_in_each_whole_check(lacks):
    (why,) = lacks(ran=False, arena_bytes=None, ids=(*FURTHER, "*-tflite-int8@litert@*"))
    assert "decides nothing" in why


def test_this_projects_budgets_are_required_but_for_what_has_a_command_of_its_own():
    """`nox -s npu` and `nox -s "devices(arm64)"` are typed apart; everything else is measured by whoever runs a cell."""
    ids = tuple(cell.id for device in ("desktop", "cortex-a53", "cortex-a72", "cortex-a76") for cell in cells(device))
    optional = [b.metric for b in budgets.load(ROOT / "budgets.toml", ids).budgets if not b.required]
    assert set(optional) == {"npu_share", "same_as_desktop"}
