"""Limits, the verdicts that they give, budget files that cannot be meant, and which budgets must decide something."""

import re

import pytest
from msgspec.structs import replace

from device_tests.cells import cells, possible
from device_tests.gates import budgets, evidence, verdicts
from device_tests.results.row import Row
from models.common.environments import ROOT
from models.common.errors import DataError, UsageError
from tests.device_tests.conftest import measured

IDS = tuple(cell.id for cell in possible())
OUTCOME = {"metric": "outcome", "outcomes": ("ok",)}
EXPECTED_UNSUPPORTED = {"metric": "outcome", "outcomes": ("ok", "unsupported"), "ids": ("*-int8@*",)}
EXPECTED_FAILURE = {"metric": "outcome", "outcomes": ("mismatch", "run_failed")}


def limits(*rows: dict) -> tuple[budgets.Budget, ...]:
    return tuple(budgets.Budget(**{"ids": ("*",), "why": "because", **row}) for row in rows)


def ratio(low: float, high: float) -> dict[str, float]:
    return {"latency_ratio": (low + high) / 2, "latency_ratio_low": low, "latency_ratio_high": high}


@pytest.mark.parametrize(
    ("limit", "facts", "state", "message"),
    [
        ({"metric": "size_bytes", "max": 1_000}, {"size_bytes": 1_000}, "pass", ""),
        ({"metric": "size_bytes", "max": 1_000}, {"size_bytes": 1_001}, "fail", ""),
        ({"metric": "compressed_bytes", "max": 1_000}, {"compressed_bytes": 1_001}, "fail", ""),
        ({"metric": "top1", "min": 0.99}, {"correct": 9_900}, "pass", ""),
        ({"metric": "top1", "min": 0.99}, {"correct": 9_899}, "fail", ""),
        ({"metric": "agreement", "min": 1.0}, {"agree": 9_999}, "fail", ""),
        ({"metric": "max_abs_error", "max": 1.0}, {"max_abs_error": 1e7}, "fail", ""),
        ({"metric": "max_abs_error", "max": 1.0}, {"max_abs_error": float("nan")}, "fail", ""),
        ({"metric": "max_abs_error", "max": 1.0}, {"max_abs_error": float("inf")}, "fail", ""),
        ({"metric": "size_bytes", "max": 1}, {"outcome": "run_failed", "reason": "SIGSEGV"}, "skipped", "SIGSEGV"),
        ({"metric": "top1", "min": 0.5}, {"outcome": "skipped", "reason": "not run"}, "skipped", "not run"),
        ({"metric": "instructions", "max": 1}, {}, "skipped", "its instructions were not counted: nox -s instructions"),
        (OUTCOME, {}, "pass", ""),
        (OUTCOME, {"outcome": "mismatch", "reason": "garbage"}, "fail", "garbage"),
        (OUTCOME, {"outcome": "skipped", "reason": "not run"}, "skipped", "not run"),
        (EXPECTED_FAILURE, {"outcome": "mismatch", "reason": "garbage"}, "pass", "garbage"),
        (EXPECTED_FAILURE, {"outcome": "timed_out", "reason": "hangs"}, "fail", "hangs"),
        (EXPECTED_FAILURE, {}, "pass", "healed: "),
        # a noisy figure is decided only where its whole interval is on one side
        ({"metric": "latency_ratio", "max": 1.1}, ratio(0.9, 1.0), "pass", ""),
        ({"metric": "latency_ratio", "max": 1.1}, ratio(1.11, 1.3), "fail", "1.205 is more than 1.1"),
        ({"metric": "latency_ratio", "max": 1.1}, ratio(0.9, 1.2), "skipped", "too noisy to say"),
        ({"metric": "latency_ratio", "max": 1.1}, ratio(1.05, 1.2), "skipped", "too noisy to say"),
    ],
)
def test_a_limit_gives_its_verdict(limit, facts, state, message):
    (verdict,) = verdicts.check(limits(limit), (replace(measured(), **facts),))
    assert verdict.state == state
    assert message in verdict.message


def test_the_last_row_that_matches_decides_and_one_whose_cells_later_rows_decide_is_broken():
    rule = {"metric": "agreement", "min": 1.0}
    exception = {"metric": "agreement", "min": 0.9, "ids": ("*-int8@*",)}
    rows = (measured(agree=9_500), measured(scheme="int8", agree=9_500))
    assert [v.state for v in verdicts.check(limits(rule, exception), rows)] == ["fail", "pass"]
    (verdict,) = verdicts.shadowed(limits(exception, rule), rows)
    assert (verdict.metric, verdict.state) == ("agreement", "fail")
    assert verdicts.shadowed(limits(rule), rows) == ()


FIGURES = {
    "flip_rate": {"agree": 9_900},
    "top1_loss_bound": {"lost": 30},
    "ece": {"ece": 0.02},
    "instructions": {"instructions": 10**6},
    "peak_over_runtime_bytes": {"peak_rss_bytes": 10**6, "baseline_rss_bytes": 0},
    "delegated_share": {"delegated_share": 1.0},
    "top5": {"top5_correct": 9_950, "source_top5_correct": 9_990},
    "recall_loss": {"worst_class": {"label": 3, "total": 100, "correct": 90, "source_correct": 95}},
}


@pytest.mark.parametrize("metric", FIGURES)
def test_every_figure_can_be_limited(metric):
    row = measured(**FIGURES[metric])
    value = getattr(row, metric)
    within, beyond = (verdicts.check(limits({"metric": metric, "max": value * f}), (row,))[0] for f in (1.1, 0.5))
    assert (within.state, beyond.state, beyond.excess) == ("pass", "fail", pytest.approx(1.0))
    assert [metric for metric in budgets.METRICS if not hasattr(row, metric)] == []


def test_a_verdict_knows_the_line_of_its_budget_and_a_missing_file_is_said(tmp_path):
    file = tmp_path / "budgets.toml"
    with pytest.raises(DataError, match="is not there"):
        budgets.load(file, IDS)
    file.write_text(f"# a comment\n\n[[budget]]\n{ROW}\n[[budget]] # another\n{ROW}", "utf-8-sig")
    assert [budget.line for budget in budgets.load(file, IDS).budgets] == [3, 9]


ROW = 'ids = ["*"]\nmetric = "top1"\nmin = 0.9\nwhy = "because"\n'


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("[[budget]", DataError, "is no TOML"),
        ("[budgets]\n", UsageError, r"may hold \[\[budget\]\] and \[\[missing\]\] tables only"),
        ("[[budget]]\n" + ROW.replace("top1", "top2"), UsageError, "line 1: there is no metric 'top2'. Did you mean"),
        (f"[[budget]]\n{ROW}[[budget]]\n{ROW}maxx = 1\n", UsageError, "line 6: there is no key 'maxx'. Did you mean"),
        ("[[budget]]\n" + ROW.replace('"*"', '"*@litrt@*"'), UsageError, "matches no cell"),
        ("[[budget]]\n" + ROW.replace('["*"]', '"*"'), UsageError, "`ids` is a list of globs"),
        ("[[budget]]\n" + ROW.replace("min = 0.9\n", ""), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace("0.9", '"0.9"'), UsageError, "`min` and `max` numbers"),
        ("[[budget]]\n" + ROW.replace("0.9", '"0.9"\nmax = 1'), UsageError, "`min` and `max` numbers"),
        ("[[budget]]\n" + ROW.replace("0.9", "nan"), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace('"because"', '["because"]'), UsageError, "`metric` and `why` are texts"),
        ("[[budget]]\n" + ROW.replace("0.9", "0.9\nis = \"ok\""), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace('why = "because"', ""), UsageError, "missing required field `why`"),
        ("[[budget]]\n" + ROW.replace("because", "  "), UsageError, "`why` is empty"),
        ("[[budget]]\n" + ROW.replace('"top1"', '["top1"]'), UsageError, "`metric` and `why` are texts"),
        ("[[budget]]\n" + ROW.replace("0.9", "9" * 400), UsageError, "takes `min`, `max` or both"),
        ("[[budget]]\n" + ROW.replace("0.9", "0.9\nmax = 0.1"), UsageError, "nothing can keep it"),
        ("a = " + "[" * 5_000, DataError, "nested too deeply"),
        ("[[missing]]\nids = [\"*\"]\nwhy = \" \"\n", UsageError, "`why` is empty"),
        ("[[missing]]\nids = [\"*@nope\"]\nwhy = \"x\"\n", UsageError, "matches no cell"),
        ("[[budget]]\n" + ROW.replace("top1", "outcome"), UsageError, "`outcome` takes `is`"),
        ("[[budget]]\n" + ROW.replace("top1", "outcome").replace("min = 0.9", 'is = ["ok", "good"]'), UsageError, "`outcome` takes `is`"),
        ("[[budget]]\n" + ROW.replace("top1", "outcome").replace("min = 0.9", "is = []"), UsageError, "`outcome` takes `is`"),
        ("[[budget]]\n" + ROW.replace("top1", "size_bytes") + 'set = "night"\n', UsageError, "`set` goes with top1 and agreement"),
        ("[[budget]]\n" + ROW.replace("top1", "digits_top1"), UsageError, '`metric = "top1"` with `set = "digits"`'),
        ('budget = [{why = "x"}]\n', UsageError, r"has 1 \[\[budget\]\] tables, but 0 lines that say \[\[budget\]\]"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_meant_is_refused(tmp_path, content, error, message):
    file = tmp_path / "budgets.toml"
    file.write_text(content)
    with pytest.raises(error, match=message):
        budgets.load(file, IDS)


def test_a_figure_may_be_held_on_another_evaluation_set_and_one_that_was_not_judged_is_skipped():
    row = measured(sets={"night": {"total": 10, "correct": 8, "source_correct": 9, "agree": 9}})
    for metric, value in (("top1", 0.8), ("agreement", 0.9)):
        for least, state in ((value - 0.01, "pass"), (value + 0.01, "fail")):
            both = limits({"metric": metric, "set": "night", "min": least}, {"metric": metric, "min": 0.95})
            states = {v.metric: v.state for v in verdicts.check(both, (row,))}
            assert states == {f"{metric} on night": state, metric: "pass"}
    limit = limits({"metric": "top1", "set": "night", "min": 0.5})
    (verdict,) = verdicts.check(limit, (measured(),))
    assert (verdict.state, verdict.unmeasured) == ("skipped", True)
    assert "no evaluation set called 'night'" in verdict.message
    (verdict,) = verdicts.check(limit, (measured(dataset={"name": "night"}, correct=4_000),))
    assert verdict.state == "fail"  # the first set has a name, too


def lacks(rows: tuple[Row, ...], ids: tuple[str, ...], **facts) -> list[str]:
    """Return why a budget of arenas lacks evidence."""
    both = limits(OUTCOME, {"ids": ids, "metric": "arena_bytes", "max": 10_000, "line": 7, **facts})
    return [lack.why for lack in evidence.lacks(rows, both, verdicts.check(both, rows))]


def test_a_budget_of_a_further_engine_must_decide_something_once_the_engine_has_run():
    further = ("*-tflite-int8@tflite_micro@*",)
    row, micro = (measured("int8", runtime, "tflite") for runtime in ("litert", "tflite_micro"))
    for ids in (further, ("*@openvino@cortex-*",), ("*@openvino@cortex-a76", "*@ncnn@desktop")):
        assert lacks((row,), ids) == []  # a quick run left it out
    (why,) = lacks((row, micro), further)  # its arena is not known
    assert why.startswith("line 7: the budget of arena_bytes decides nothing, for each of its 1 cells")
    assert lacks((row, micro), further, required=False) == []
    assert lacks((row, replace(micro, arena_bytes=9_000)), further) == []
    # and in each whole check where other cells have a part in it
    (why,) = lacks((row,), (*further, "*-tflite-int8@litert@*"))
    assert "decides nothing" in why


UNSUPPORTED = {"outcome": "unsupported", "reason": "no kernel", "total": None}


@pytest.mark.parametrize(
    ("metric", "second", "why"),
    [
        # a cell that cannot have the figure does not make up for those that were not measured
        ("latency_ratio", UNSUPPORTED, ["line 7: the budget of latency_ratio decides nothing, .*not timed"]),
        ("top1", UNSUPPORTED, []),
        ("top5", {}, ["line 7: the budget of top5 decides nothing, for each of its 2 cells, .*: it has ten classes"]),
        ("peak_over_runtime_bytes", {"baseline_rss_bytes": None}, []),
    ],
)
def test_a_required_budget_must_decide_something_of_what_can_be_measured(metric, second, why):
    rows = (measured("int8"), replace(measured("int8", "executorch"), **second))
    if metric.startswith("peak"):
        rows = tuple(replace(row, **second) for row in rows)
    both = limits(OUTCOME, EXPECTED_UNSUPPORTED, {"metric": metric, "min": 0, "line": 7})
    reasons = [lack.why for lack in evidence.lacks(rows, both, verdicts.check(both, rows))]
    assert len(reasons) == len(why)
    assert all(map(re.match, why, reasons)), reasons


def test_why_nothing_was_judged_is_not_the_reason_of_a_cell_that_was():
    rows = (replace(measured("int8"), **UNSUPPORTED), measured("float32"))
    (lack,) = evidence.lacks(rows, (), ())
    assert lack.why == "nothing was judged; the first reason: no budget is for these cells"
    # that nothing could be exported is what a check expects of some artifacts, but no judgement of any
    unsupported, allowed = (replace(rows[0], inputs={}),), limits(EXPECTED_UNSUPPORTED)
    (lack,) = evidence.lacks(unsupported, allowed, verdicts.check(allowed, unsupported))
    assert lack.why == "nothing was judged; the first reason: no kernel"
    only = limits({"metric": "top5", "min": 0})
    (lack,) = evidence.lacks(rows[1:], only, verdicts.check(only, rows[1:]))
    assert lack.why.endswith("it has ten classes or fewer")


def test_this_projects_budgets_limit_every_outcome_and_are_required_but_for_what_has_a_command_of_its_own():
    """`nox -s npu` and `nox -s "devices(arm64)"` are typed apart; everything else is measured by whoever runs a cell."""
    ids = tuple(cell.id for device in ("desktop", "cortex-a53", "cortex-a72", "cortex-a76") for cell in cells(device))
    optional = [b.metric for b in budgets.load(ROOT / "budgets.toml", ids).budgets if not b.required]
    assert set(optional) == {"npu_share", "same_as_desktop"}
    loaded = budgets.load(ROOT / "budgets.toml", IDS).budgets
    assert all(verdicts.decisive(loaded, id, "outcome") for id in IDS)
    assert verdicts.expected_outcomes((), "x") == ("ok",)  # without a budget a cell is expected to be ok


def test_engines_that_were_left_out_do_not_make_a_check_worthless():
    nothing = {"outcome": "skipped", "evidence": "missing", "reason": "not run", "total": None, "latencies_ns": ()}
    there = measured("int8", "litert", "tflite")
    left_out = [measured("int8", "openvino", format_name, **nothing) for format_name in ("onnx", "openvino", "ort")]
    assert list(evidence._too_few([there, *left_out])) == []
    missing = [measured("int8", runtime, "tflite", **nothing) for runtime in ("litert_compiled", "tflite_runtime")]
    (lack,) = evidence._too_few([there, *left_out, *missing])
    assert "only 1 of 3 cells" in lack.why
