"""Budgets: limits from budgets.toml, and what they do to measurements."""

from __future__ import annotations

import fnmatch
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from device_tests.results.measurement import OUTCOMES, Measurement
from models.errors import DataError, UsageError, did_you_mean

# Each is an attribute of a measurement; where it has none though it ran, this says why. The outcome comes first: a
# cell that did not run has no figures.
METRICS = {
    "outcome": "",
    "size_bytes": "no artifact's size is known",
    "compressed_bytes": "no artifact's size is known",
    "top1": "nothing was judged",
    "top1_loss": "nothing was judged",
    "top1_loss_bound": "nothing was judged",
    "agreement": "nothing was judged",
    "flip_rate": "nothing was judged",
    "max_abs_error": "some answers are not finite",
    "ece": "the result is older than this figure: run it again",
    "digits_top1": "no other digits were judged: nox -s export",
    "digits_agreement": "no other digits were judged: nox -s export",
    "peak_over_runtime_bytes": "this system does not tell the memory before the artifact was loaded",
    "same_as_desktop": "it is the desktop's, or there are no logits of both to compare",
    "difference": "it is the desktop's, or there are no logits of both to compare",
    "instructions": "its instructions were not counted: nox -s instructions",
    "delegated_share": "it has no receipt (nox -s explain -- --all), or its runtime no delegate",
    "latency_ratio": "it was not timed in one run with a float32 row: nox -s latency",
}
NOISY = ("latency_ratio",)  # verdicts need the whole interval, METRIC_low to METRIC_high, on one side of the limit
IDLE, HEALED = "the budget decides nothing", "healed"
TABLE = re.compile(r"^\s*\[\[\s*budget\s*\]\]")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit for the cells that a glob of `ids` matches: `min` and `max` of a figure, or the `outcomes` it may have.

    `line` is where it stands in its file.
    """

    ids: tuple[str, ...]
    metric: str
    why: str
    min: float | None = None
    max: float | None = None
    outcomes: tuple[str, ...] = ()
    line: int = 0

    def matches(self, id: str) -> bool:
        return any(fnmatch.fnmatchcase(id, pattern) for pattern in self.ids)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a limit does to a measurement.

    `budget` is None where the limit is a baseline's; `excess` is how far beyond the limit it is, as a share of it: the
    worst have most.
    """

    id: str
    metric: str
    state: Literal["pass", "fail", "skipped"]
    says: str
    budget: Budget | None = None
    excess: float = 0.0

    @property
    def tells(self) -> bool:
        """Whether a person must see it: it is broken, guards nothing, or has become needless."""
        return self.state == "fail" or self.says.startswith((IDLE, HEALED))


def worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts by how far beyond their limit they are."""
    return sorted(verdicts, key=lambda v: (-v.excess, v.id, v.metric))


def load(file: Path, ids: tuple[str, ...]) -> tuple[Budget, ...]:
    """Read the budgets; raises DataError for a missing or broken file, UsageError for a row that makes no sense."""
    try:
        text = file.read_text()
        content = tomllib.loads(text)
    except FileNotFoundError as error:
        msg = f"{file} is not there. Restore it, or name another with --budgets."
        raise DataError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{file} is no TOML: {error}"
        raise DataError(msg) from error
    if content.keys() - {"budget"} or not isinstance(content.get("budget", []), list):
        msg = f"{file} may hold [[budget]] tables only, it has: {', '.join(content)}."
        raise UsageError(msg)
    tables = content.get("budget", [])
    lines = [i for i, line in enumerate(text.splitlines(), start=1) if TABLE.match(line)]
    if len(lines) != len(tables):  # verdicts point there
        msg = f"{file} has {len(tables)} budgets, but {len(lines)} lines that say [[budget]]. Begin each with such a line."
        raise UsageError(msg)
    return tuple(_budget(row, file, line, ids) for row, line in zip(tables, lines, strict=True))


def _budget(row: dict[str, Any], file: Path, line: int, ids: tuple[str, ...]) -> Budget:
    def refuse(what: str) -> UsageError:
        return UsageError(f"{file}, line {line}: {what}")

    known = ("ids", "metric", "min", "max", "is", "why")
    for name in row:
        if name not in known:
            raise refuse(f"there is no key {name!r}. {did_you_mean(name, known)}")
    patterns, metric = row.get("ids"), row.get("metric")
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) for p in patterns):
        raise refuse("`ids` must be a list of globs over ARTIFACT@RUNTIME@DEVICE.")
    if metric not in METRICS:
        raise refuse(f"there is no metric {metric!r}. {did_you_mean(str(metric), METRICS)}")
    if not isinstance(row.get("why"), str) or not row["why"]:
        raise refuse("`why` is missing: say where the limit comes from.")
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern):
            raise refuse(f"{pattern!r} matches no cell. {did_you_mean(pattern, ids)[:400]}")
    expected = row.get("is", [])
    outcomes = expected if isinstance(expected, list) else [expected]
    if metric == "outcome":
        if not outcomes or not all(o in OUTCOMES for o in outcomes) or {"min", "max"} & row.keys():
            raise refuse(f"`outcome` takes `is`, one or a list of: {', '.join(OUTCOMES)}.")
    elif (
        "is" in row or not (limits := {"min", "max"} & row.keys()) or not all(_is_number(row[side]) for side in limits)
    ):
        raise refuse(f"`{metric}` takes `min`, `max` or both, as numbers.")
    return Budget(
        ids=tuple(patterns),
        metric=metric,
        why=row["why"],
        min=row.get("min"),
        max=row.get("max"),
        outcomes=tuple(outcomes),
        line=line,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def decisive(budgets: tuple[Budget, ...], id: str, metric: str) -> Budget | None:
    """Return the budget that counts for a cell: the last one that matches, so that exceptions follow the rule."""
    return next((b for b in reversed(budgets) if b.metric == metric and b.matches(id)), None)


def expected_outcomes(budgets: tuple[Budget, ...], id: str) -> tuple[str, ...]:
    """Return the outcomes that a cell may have; `ok` where no budget says otherwise."""
    budget = decisive(budgets, id, "outcome")
    return budget.outcomes if budget else ("ok",)


def check(budgets: tuple[Budget, ...], rows: tuple[Measurement, ...]) -> tuple[Verdict, ...]:
    """Return a verdict for every row and every metric that a budget limits there."""
    held = ((row, decisive(budgets, row.id, metric)) for row in rows for metric in METRICS)
    return tuple(_verdict(row, budget) for row, budget in held if budget)


def idle(
    budgets: tuple[Budget, ...], verdicts: tuple[Verdict, ...], rows: tuple[Measurement, ...]
) -> tuple[Verdict, ...]:
    """Return a verdict for every budget that decides nothing, once every cell has a result; none before.

    It fails where later rows leave it nothing to decide. Where its figure was not measured, or nothing has run on its
    devices, it is skipped.
    """
    if any(row.outcome == "skipped" for row in rows):
        return ()
    busy = {verdict.budget for verdict in verdicts if verdict.state != "skipped"}
    found = []
    for budget in (b for b in budgets if b not in busy):
        skipped = [verdict.says for verdict in verdicts if verdict.budget == budget]
        state, excess = "skipped", 0.0
        if skipped:
            why = f"for each of its {len(skipped)} cells, as the first: {skipped[0]}"
        elif not any(budget.matches(row.id) for row in rows):
            why = "it is for devices where nothing has run"
        else:
            state, excess, why = "fail", math.inf, "later rows decide all"
        names, says = ", ".join(budget.ids), f"{IDLE}, {why}"
        found.append(Verdict(id=names, metric=budget.metric, state=state, says=says, budget=budget, excess=excess))
    return tuple(found)


def _verdict(row: Measurement, budget: Budget) -> Verdict:
    judge = _judge_outcome if budget.metric == "outcome" else _judge_figure
    state, says, excess = judge(row, budget)
    return Verdict(id=row.id, metric=budget.metric, state=state, says=says, budget=budget, excess=excess)


def _judge_outcome(row: Measurement, budget: Budget) -> tuple[str, str, float]:
    expected = " or ".join(budget.outcomes)
    if row.outcome in budget.outcomes:
        return "pass", f"{row.outcome}, as expected: {row.reason}" if row.reason else row.outcome, 0.0
    if row.outcome == "skipped":
        return "skipped", row.reason, 0.0
    if row.outcome == "ok":
        return "pass", f"{HEALED}: it is ok, no longer {expected}; its exception can go ({budget.why})", 0.0
    return "fail", f"{row.outcome}, must be {expected}: {row.reason}", math.inf


def _judge_figure(row: Measurement, budget: Budget) -> tuple[str, str, float]:
    value = getattr(row, budget.metric)
    if row.outcome != "ok":
        return "skipped", f"{row.outcome}: {row.reason}", 0.0
    if value is None:
        return "skipped", METRICS[budget.metric], 0.0
    low, high = value, value
    if budget.metric in NOISY:
        low, high = (getattr(row, f"{budget.metric}_{side}") for side in ("low", "high"))
    least = -math.inf if budget.min is None else budget.min
    most = math.inf if budget.max is None else budget.max
    if high < least or low > most:
        limit, word = (least, "less") if high < least else (most, "more")
        says = f"{_text(value)} is {word} than {_text(limit)} ({budget.why})"
        return "fail", says, abs(value - limit) / (abs(limit) or 1.0)
    if low < least or high > most:
        limits = " and ".join(_text(limit) for limit in (least, most) if math.isfinite(limit))
        return "skipped", f"too noisy to say: {value:.6g} ({low:.6g} to {high:.6g}) against {limits}", 0.0
    return "pass", _text(value), 0.0


def _text(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
