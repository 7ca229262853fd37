"""Which budgets must decide something: those of engines that a quick run leaves out, once they have run."""

import pytest
from msgspec.structs import replace

from device_tests.cells import cells
from device_tests.gates import budgets, evidence
from device_tests.gates.budgets import Budget
from device_tests.gates.verdicts import check
from device_tests.results.row import Row
from models.common.environments import ROOT

FIRST = Budget(ids=("*",), metric="outcome", outcomes=("ok",), why="each runs")


@pytest.fixture
def rows(measured):
    return (measured("int8", "litert", "tflite"),)


def lacks(rows: tuple[Row, ...], ids: tuple[str, ...], **facts) -> list[str]:
    """Return why a budget of arenas lacks evidence."""
    budgets = (FIRST, Budget(ids=ids, metric="arena_bytes", max=10_000, why="w", line=7, **facts))
    return [lack.why for lack in evidence.lacks(rows, budgets, check(budgets, rows))]


FURTHER = ("*-tflite-int8@tflite_micro@*",)


@pytest.mark.parametrize("ids", [FURTHER, ("*@openvino@cortex-*",), ("*@openvino@cortex-a76", "*@ncnn@desktop")])
def test_a_budget_of_a_further_engine_needs_no_figure_where_a_quick_run_left_the_engine_out(rows, ids):
    assert lacks(rows, ids) == []


def test_it_must_decide_something_once_the_engine_has_run(rows, measured):
    micro = measured("int8", "tflite_micro", "tflite")  # whose arena is not known
    (why,) = lacks((*rows, micro), FURTHER)
    assert why.startswith("line 7: the budget of arena_bytes decides nothing, for each of its 1 cells")
    assert lacks((*rows, micro), FURTHER, required=False) == []
    assert lacks((*rows, replace(micro, arena_bytes=9_000)), FURTHER) == []
    # and in each whole check where other cells have a part in it
    (why,) = lacks(rows, (*FURTHER, "*-tflite-int8@litert@*"))
    assert "decides nothing" in why


def test_this_projects_budgets_are_required_but_for_what_has_a_command_of_its_own():
    """`nox -s npu` and `nox -s "devices(arm64)"` are typed apart; everything else is measured by whoever runs a cell."""
    ids = tuple(cell.id for device in ("desktop", "cortex-a53", "cortex-a72", "cortex-a76") for cell in cells(device))
    optional = [b.metric for b in budgets.load(ROOT / "budgets.toml", ids).budgets if not b.required]
    assert set(optional) == {"npu_share", "same_as_desktop"}


def test_engines_that_were_left_out_do_not_make_a_check_worthless(measured):
    nothing = {"outcome": "skipped", "evidence": "missing", "reason": "not run", "total": None, "latencies_ns": ()}
    there = measured("int8", "litert", "tflite")
    left_out = [measured("int8", "openvino", format_name, **nothing) for format_name in ("onnx", "openvino", "ort")]
    assert list(evidence._too_few([there, *left_out])) == []
    missing = [measured("int8", runtime, "tflite", **nothing) for runtime in ("litert_compiled", "tflite_runtime")]
    (lack,) = evidence._too_few([there, *left_out, *missing])
    assert "only 1 of 3 cells" in lack.why
