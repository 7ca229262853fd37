"""Verdicts: measurements held against budgets."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from device_tests.gates.budgets import METRICS, Budget
from device_tests.results.row import Row

Facts = dict[str, Any]

NOISY = ("latency_ratio",)  # the whole interval, METRIC_low to METRIC_high, must lie on one side of the limit
SYSTEM = ("peak_over_runtime_bytes",)  # no command measures it where the system does not report memory


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of holding one figure against its limit.

    `budget` is None where the limit is a baseline's. `excess` is how far the figure lies beyond the limit, as a share
    of it. `unmeasured` says that the figure is missing although a command could measure it; `notable` that a person
    must see the verdict although nothing is broken.
    """

    id: str
    metric: str
    state: Literal["pass", "fail", "skipped"]
    message: str
    budget: Budget | None = None
    excess: float = 0.0
    unmeasured: bool = False
    notable: bool = False

    @property
    def tells(self) -> bool:
        """Whether a person must see it: the limit is broken, guards nothing, or has become needless."""
        return self.state == "fail" or self.notable


def worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts, those farthest beyond their limit first."""
    return sorted(verdicts, key=lambda v: (-v.excess, v.id, v.metric))


def decisive(budgets: tuple[Budget, ...], id: str, metric: str, set: str = "") -> Budget | None:
    """Return the budget that counts for a cell: the last that matches, so that exceptions follow the rule."""
    return next((b for b in reversed(budgets) if (b.metric, b.set) == (metric, set) and b.matches(id)), None)


def expected_outcomes(budgets: tuple[Budget, ...], id: str) -> tuple[str, ...]:
    """Return the outcomes that a cell may have; `ok` where no budget says otherwise."""
    budget = decisive(budgets, id, "outcome")
    return budget.outcomes if budget else ("ok",)


def check(budgets: tuple[Budget, ...], rows: tuple[Row, ...]) -> tuple[Verdict, ...]:
    """Return a verdict for every row and every figure that a budget limits there."""
    figures = sorted({(b.metric, b.set) for b in budgets}, key=lambda f: ([*METRICS].index(f[0]), f[1]))
    held = ((row, decisive(budgets, row.id, *figure)) for row in rows for figure in figures)
    return tuple(_verdict(row, budget) for row, budget in held if budget)


def shadowed(budgets: tuple[Budget, ...], rows: tuple[Row, ...]) -> tuple[Verdict, ...]:
    """Return a broken verdict for every budget whose cells are all decided by later rows of the file."""
    verdicts = []
    for budget in budgets:
        own = [row for row in rows if budget.matches(row.id)]
        if own and not any(decisive(budgets, row.id, budget.metric, budget.set) is budget for row in own):
            message = "the budget decides nothing, for later rows decide all of its cells"
            facts = {"state": "fail", "message": message, "excess": math.inf}
            verdicts.append(Verdict(id=", ".join(budget.ids), metric=budget.figure, budget=budget, **facts))
    return tuple(verdicts)


def _verdict(row: Row, budget: Budget) -> Verdict:
    judge = _judge_outcome if budget.metric == "outcome" else _judge_figure
    return Verdict(id=row.id, metric=budget.figure, budget=budget, **judge(row, budget))


def _judge_outcome(row: Row, budget: Budget) -> Facts:
    expected = " or ".join(budget.outcomes)
    if row.outcome == "skipped" or row.evidence != "current":
        return {"state": "skipped", "message": row.reason, "unmeasured": True}
    if row.outcome in budget.outcomes:
        return {"state": "pass", "message": f"{row.outcome}, as expected: {row.reason}" if row.reason else row.outcome}
    if row.outcome == "ok":
        message = f"healed: it is ok, no longer {expected}; its exception can go ({budget.why})"
        return {"state": "pass", "message": message, "notable": True}
    return {"state": "fail", "message": f"{row.outcome}, must be {expected}: {row.reason}", "excess": math.inf}


def _judge_figure(row: Row, budget: Budget) -> Facts:
    if row.outcome != "ok":
        return {"state": "skipped", "message": f"{row.outcome}: {row.reason}", "unmeasured": row.evidence != "current"}
    held = row if budget.set in ("", row.dataset.name) else row.sets.get(budget.set)
    if held is None:  # a set that no cell has is a wrong name and guards nothing
        message = f"it was judged on no evaluation set called {budget.set!r}"
        return {"state": "skipped", "message": message, "unmeasured": True}
    value = getattr(held, budget.metric)
    if value is None:
        return {"state": "skipped", "message": METRICS[budget.metric], "unmeasured": budget.metric not in SYSTEM}
    low, high = value, value
    if budget.metric in NOISY:
        low, high = (getattr(row, f"{budget.metric}_{side}") for side in ("low", "high"))
    least = -math.inf if budget.min is None else budget.min
    most = math.inf if budget.max is None else budget.max
    # comparisons with NaN are false, and must not pass
    if not all(math.isfinite(figure) for figure in (value, low, high)):
        return {"state": "fail", "message": f"{value} is no figure ({budget.why})", "excess": math.inf}
    if high < least or low > most:
        limit, word = (least, "less") if high < least else (most, "more")
        message = f"{_text(value)} is {word} than {_text(limit)} ({budget.why})"
        return {"state": "fail", "message": message, "excess": abs(value - limit) / (abs(limit) or 1.0)}
    if low < least or high > most:
        limits = " and ".join(_text(limit) for limit in (least, most) if math.isfinite(limit))
        message = f"too noisy to say: {value:.6g} ({low:.6g} to {high:.6g}) against {limits}"
        return {"state": "skipped", "message": message}
    return {"state": "pass", "message": _text(value)}


def _text(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
