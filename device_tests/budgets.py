"""Budgets: limits from budgets.toml, and what they do to measurements."""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from device_tests.measurement import OUTCOMES, Measurement
from models.errors import DataError, UsageError, did_you_mean

METRICS = ("size_bytes", "compressed_bytes", "top1", "top1_loss", "agreement", "max_abs_error", "outcome")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit for the cells that a glob of `ids` matches: `min` and `max` of a figure, or the `outcome` to have."""

    ids: tuple[str, ...]
    metric: str
    why: str
    min: float | None = None
    max: float | None = None
    outcome: str = ""

    def matches(self, id: str) -> bool:
        return any(fnmatch.fnmatchcase(id, pattern) for pattern in self.ids)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a budget does to a measurement."""

    id: str
    metric: str
    state: Literal["pass", "fail", "skipped"]
    says: str


def load(file: Path, ids: tuple[str, ...]) -> tuple[Budget, ...]:
    """Read the budgets; raises DataError for a missing or broken file, UsageError for a row that makes no sense."""
    try:
        content = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        msg = f"{file} is not there. Restore it, or name another with --budgets."
        raise DataError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{file} is no TOML: {error}"
        raise DataError(msg) from error
    if content.keys() - {"budget"} or not isinstance(content.get("budget", []), list):
        msg = f"{file} may hold [[budget]] tables only, it has: {', '.join(content)}."
        raise UsageError(msg)
    return tuple(_budget(row, f"{file}, budget {i}", ids) for i, row in enumerate(content.get("budget", []), start=1))


def _budget(row: dict[str, Any], place: str, ids: tuple[str, ...]) -> Budget:
    def refuse(what: str) -> UsageError:
        return UsageError(f"{place}: {what}")

    known = ("ids", "metric", "min", "max", "is", "why")
    for name in row:
        if name not in known:
            raise refuse(f"there is no key {name!r}. {did_you_mean(name, known)}")
    patterns, metric = row.get("ids"), row.get("metric")
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) for p in patterns):
        raise refuse("`ids` must be a list of globs over ARTIFACT@RUNTIME@DEVICE.")
    if metric not in METRICS:
        raise refuse(f"there is no metric {metric!r}. {did_you_mean(str(metric), METRICS)}")
    if not row.get("why"):
        raise refuse("`why` is missing: say where the limit comes from.")
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern):
            raise refuse(f"{pattern!r} matches no cell. {did_you_mean(pattern, ids)[:400]}")
    if metric == "outcome":
        if row.get("is") not in OUTCOMES or {"min", "max"} & row.keys():
            raise refuse(f"`outcome` takes `is`, one of: {', '.join(OUTCOMES)}.")
    elif "is" in row or not any(_is_number(row.get(side)) for side in ("min", "max")):
        raise refuse(f"`{metric}` takes `min`, `max` or both, as numbers.")
    return Budget(
        ids=tuple(patterns),
        metric=metric,
        why=row["why"],
        min=row.get("min"),
        max=row.get("max"),
        outcome=row.get("is", ""),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def decisive(budgets: tuple[Budget, ...], id: str, metric: str) -> Budget | None:
    """Return the budget that counts for a cell: the last one that matches, so that exceptions follow the rule."""
    return next((b for b in reversed(budgets) if b.metric == metric and b.matches(id)), None)


def expected_outcome(budgets: tuple[Budget, ...], id: str) -> str:
    """Return the outcome that a cell must have; `ok` where no budget says otherwise."""
    budget = decisive(budgets, id, "outcome")
    return budget.outcome if budget else "ok"


def check(budgets: tuple[Budget, ...], rows: tuple[Measurement, ...]) -> tuple[Verdict, ...]:
    """Return a verdict for every row and every metric that a budget limits there."""
    held = ((row, decisive(budgets, row.id, metric)) for row in rows for metric in METRICS)
    return tuple(_verdict(row, budget) for row, budget in held if budget)


def _verdict(row: Measurement, budget: Budget) -> Verdict:
    state, says = _judge_outcome(row, budget) if budget.metric == "outcome" else _judge_figure(row, budget)
    return Verdict(id=row.id, metric=budget.metric, state=state, says=says)


def _judge_outcome(row: Measurement, budget: Budget) -> tuple[str, str]:
    if row.outcome == budget.outcome:
        return "pass", f"{row.outcome}, as expected: {row.reason}" if row.reason else row.outcome
    if row.outcome == "skipped":
        return "skipped", row.reason
    if row.outcome == "ok":
        return "pass", f"healed: it is ok, no longer {budget.outcome}; its exception can go ({budget.why})"
    return "fail", f"{row.outcome}, must be {budget.outcome}: {row.reason}"


def _judge_figure(row: Measurement, budget: Budget) -> tuple[str, str]:
    value = getattr(row, budget.metric)
    if row.outcome != "ok" or value is None:
        return "skipped", f"{row.outcome}: {row.reason}"
    if budget.min is not None and value < budget.min:
        return "fail", f"{value:.6g} is less than {budget.min:.6g} ({budget.why})"
    if budget.max is not None and value > budget.max:
        return "fail", f"{value:.6g} is more than {budget.max:.6g} ({budget.why})"
    return "pass", f"{value:.6g}"
