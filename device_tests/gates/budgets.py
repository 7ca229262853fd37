"""Budgets: limits from budgets.toml, and what they do to measurements."""

from __future__ import annotations

import fnmatch
import math
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from device_tests.results.measurement import OUTCOMES
from device_tests.results.row import Row
from models import files, networks, records
from models.errors import DataError, UsageError, did_you_mean
from models.records import Record

FILE = "budgets.toml"

T = TypeVar("T")
Facts = dict[str, Any]

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
    "top5": "it has ten classes or fewer",
    "recall_loss": "nothing was judged",
    "arena_bytes": "its runtime is not one for microcontrollers",
    "npu_share": "it was not compiled for an NPU: nox -s npu",
    "peak_over_runtime_bytes": "this system does not tell the memory before the artifact was loaded",
    "same_as_desktop": "it is the desktop's, or there are no logits of both to compare",
    "difference": "it is the desktop's, or there are no logits of both to compare",
    "instructions": "its instructions were not counted: nox -s instructions",
    "covered_share": "its file tells no weights",
    "covered_macs": "its file's layers are not the network's products, as fused or shared ones are not",
    "delegated_share": "it has no receipt (nox -s explain -- --all), or its runtime no delegate",
    "latency_ratio": "it was not timed in one run with a float32 row: nox -s latency",
}
NOISY = ("latency_ratio",)  # verdicts need the whole interval, METRIC_low to METRIC_high, on one side of the limit
# no command can measure these where the system does not tell them, or the network has too few classes
SYSTEM = ("peak_over_runtime_bytes", "top5")
MOST_BYTES = 16 << 20  # of the file
MOST = 1e300  # of a limit; what is not a number is not below it either
OF_SETS = ("top1", "agreement")  # which there are of the other evaluation sets, too
RENAMED = {f"digits_{metric}": f'`metric = "{metric}"` with `set = "digits"`' for metric in OF_SETS}
TABLE = re.compile(r"^\s*\[\[\s*(budget|missing)\s*\]\]")


class Budget(Record, kw_only=True):
    """A limit for the cells that a glob of `ids` matches: `min` and `max` of a figure, or the `outcomes` it may have.

    `set` names another evaluation set than the first, on which the figure is held. A `required` one must decide something
    in a whole run. `line` is where it stands in its file.
    """

    ids: tuple[str, ...]
    metric: str
    why: str
    set: str = ""
    min: int | float | None = None
    max: int | float | None = None
    outcomes: tuple[str, ...] = ()
    required: bool = True
    line: int = 0

    @property
    def figure(self) -> str:
        """What it limits, as people read it."""
        return f"{self.metric} on {self.set}" if self.set else self.metric

    def matches(self, id: str) -> bool:
        return any(fnmatch.fnmatchcase(id, pattern) for pattern in self.ids)


class Missing(Record, kw_only=True):
    """What `--allow-missing` accepts to be unmeasured: figures of a `metric`, or whole cells where it is ""."""

    ids: tuple[str, ...]
    why: str
    metric: str = ""
    line: int = 0

    def covers(self, id: str, metric: str = "") -> bool:
        """Tell whether a cell, or one figure of it, may be missing."""
        return self.metric in ("", metric) and any(fnmatch.fnmatchcase(id, pattern) for pattern in self.ids)


class File(Record, kw_only=True):
    """The content of budgets.toml."""

    budgets: tuple[Budget, ...] = ()
    missing: tuple[Missing, ...] = ()


class _BudgetTable(Record, kw_only=True, forbid_unknown_fields=True, rename={"outcomes": "is"}):
    ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    metric: str
    why: str
    set: str = ""
    min: int | float | None = None
    max: int | float | None = None
    outcomes: str | tuple[str, ...] = ()
    required: bool = True


class _MissingTable(Record, kw_only=True, forbid_unknown_fields=True):
    ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    why: str
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a limit does to a measurement.

    `budget` is None where the limit is a baseline's; `excess` is how far beyond the limit it is, as a share of it: the
    worst have most. `unmeasured` says that it is skipped for want of a figure that a command could give; `notable` that a
    person must see it although it is not broken.
    """

    id: str
    metric: str
    state: Literal["pass", "fail", "skipped"]
    says: str
    budget: Budget | None = None
    excess: float = 0.0
    unmeasured: bool = False
    notable: bool = False

    @property
    def tells(self) -> bool:
        """Whether a person must see it: it is broken, guards nothing, or has become needless."""
        return self.state == "fail" or self.notable


def worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts by how far beyond their limit they are."""
    return sorted(verdicts, key=lambda v: (-v.excess, v.id, v.metric))


def load(file: Path, ids: tuple[str, ...]) -> File:
    """Read the budgets; raises DataError for a missing or broken file, UsageError for a row that makes no sense."""
    try:
        text = files.read_bytes(file, MOST_BYTES).decode()
        content = tomllib.loads(text)
    except FileNotFoundError as error:
        msg = f"{file} is not there. Restore it, or name another with --budgets."
        raise DataError(msg) from error
    except RecursionError as error:
        msg = f"{file} is no TOML: it is nested too deeply."
        raise DataError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{file} is no TOML: {error}"
        raise DataError(msg) from error
    tables = {kind: content.get(kind, []) for kind in ("budget", "missing")}
    if content.keys() - tables or not all(isinstance(rows, list) for rows in tables.values()):
        msg = f"{file} may hold [[budget]] and [[missing]] tables only, it has: {', '.join(content)}."
        raise UsageError(msg)
    matches = [(i, match[1]) for i, line in enumerate(text.splitlines(), start=1) if (match := TABLE.match(line))]
    lines = {kind: [i for i, found in matches if found == kind] for kind in tables}
    for kind, rows in tables.items():
        if len(lines[kind]) != len(rows):  # verdicts point there
            msg = f"{file} has {len(rows)} [[{kind}]] tables, but {len(lines[kind])} lines that say [[{kind}]]. Begin each with such a line."
            raise UsageError(msg)
    return File(
        budgets=tuple(
            _Reader(file, line, ids).budget(row) for row, line in zip(tables["budget"], lines["budget"], strict=True)
        ),
        missing=tuple(
            _Reader(file, line, ids).missing(row) for row, line in zip(tables["missing"], lines["missing"], strict=True)
        ),
    )


def are_missing(file: Path) -> bool:
    """Tell whether a user's networks have no budgets yet."""
    return networks.folder() is not None and file == networks.default(FILE) and not file.exists()


def beside(file: Path, ids: tuple[str, ...]) -> File:
    """Read the budgets; where a user's networks have none yet, the outcomes that hold of any network. Raises as `load`."""
    if not are_missing(file):
        return load(file, ids)
    return load(OUTCOMES_FILE, (*ids, "any-tflite-any@tflite_runtime@any"))  # whichever of its cells there are


OUTCOMES_FILE = Path(__file__).with_name("outcomes.toml")
EXPECTED = (
    "`ids` is a list of globs over ARTIFACT@RUNTIME@DEVICE, `metric` and `why` are texts, `min` and `max` numbers."
)


class _Reader:
    """Reads one table; raises UsageError that names its line."""

    def __init__(self, file: Path, line: int, ids: tuple[str, ...]) -> None:
        self.file, self.line, self.ids = file, line, ids

    def refusal(self, what: str) -> UsageError:
        return UsageError(f"{self.file}, line {self.line}: {what}")

    def typed(self, row: Any, kind: type[T]) -> T:
        """Return a table as its type, with its globs and its reason checked."""
        keys = kind.__struct_encode_fields__
        for name in row if isinstance(row, dict) else ():
            if name not in keys:
                raise self.refusal(f"there is no key {name!r}. {did_you_mean(name, keys)}")
        try:
            table = records.convert(row, kind)
        except (msgspec.ValidationError, RecursionError) as error:
            raise self.refusal(f"{error}. {EXPECTED}") from error
        if not table.why.strip():
            raise self.refusal("`why` is empty: say where it comes from.")
        for pattern in table.ids:
            if not self.may_match(pattern):
                raise self.refusal(f"{pattern!r} matches no cell. {did_you_mean(pattern, self.ids)[:400]}")
        if table.metric in RENAMED:
            raise self.refusal(f"{table.metric!r} is called {RENAMED[table.metric]} now.")
        if table.metric and table.metric not in METRICS:
            raise self.refusal(f"there is no metric {table.metric!r}. {did_you_mean(table.metric, METRICS)}")
        return table

    def may_match(self, pattern: str) -> bool:
        """Tell whether a glob matches a cell, or may match one of a phone, board or browser that has no result here."""
        if fnmatch.filter(self.ids, pattern):
            return True
        artifact, _, rest = pattern.partition("@")
        runtime, _, device = rest.partition("@")  # which may hold one itself: ssh:user@host
        kind, colon, name = device.partition(":")
        named = [id.rpartition("@")[0] for id in self.ids if id.endswith(f"@{kind}:NAME")]
        return bool(colon and name and fnmatch.filter(named, f"{artifact}@{runtime}"))

    def budget(self, row: Any) -> Budget:
        table = self.typed(row, _BudgetTable)
        if not table.metric:
            raise self.refusal(f"`metric` is empty. There are: {', '.join(METRICS)}.")
        outcomes = (table.outcomes,) if isinstance(table.outcomes, str) else table.outcomes
        limits = [limit for limit in (table.min, table.max) if limit is not None]
        if table.metric == "outcome":
            if not outcomes or limits or not all(outcome in OUTCOMES for outcome in outcomes):
                raise self.refusal(f"`outcome` takes `is`, one or a list of: {', '.join(OUTCOMES)}.")
        elif outcomes or not limits or not all(abs(limit) <= MOST for limit in limits):
            raise self.refusal(f"`{table.metric}` takes `min`, `max` or both, as numbers.")
        elif len(limits) == 2 and table.min > table.max:
            raise self.refusal(f"`min` is {table.min}, more than `max`, {table.max}: nothing can keep it.")
        if table.set and table.metric not in OF_SETS:
            raise self.refusal(f"`set` goes with {' and '.join(OF_SETS)}, not with {table.metric!r}.")
        facts = {name: getattr(table, name) for name in ("ids", "metric", "why", "set", "min", "max", "required")}
        return Budget(**facts, outcomes=outcomes, line=self.line)

    def missing(self, row: Any) -> Missing:
        table = self.typed(row, _MissingTable)
        return Missing(ids=table.ids, why=table.why, metric=table.metric, line=self.line)


def decisive(budgets: tuple[Budget, ...], id: str, metric: str, set: str = "") -> Budget | None:
    """Return the budget that counts for a cell: the last one that matches, so that exceptions follow the rule."""
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
    found = []
    for budget in budgets:
        own = [row for row in rows if budget.matches(row.id)]
        if own and not any(decisive(budgets, row.id, budget.metric, budget.set) is budget for row in own):
            says = "the budget decides nothing, for later rows decide all of its cells"
            found.append(
                Verdict(
                    id=", ".join(budget.ids),
                    metric=budget.figure,
                    state="fail",
                    says=says,
                    budget=budget,
                    excess=math.inf,
                )
            )
    return tuple(found)


def _verdict(row: Row, budget: Budget) -> Verdict:
    judge = _judge_outcome if budget.metric == "outcome" else _judge_figure
    return Verdict(id=row.id, metric=budget.figure, budget=budget, **judge(row, budget))


def _judge_outcome(row: Row, budget: Budget) -> Facts:
    expected = " or ".join(budget.outcomes)
    if row.outcome == "skipped" or row.evidence != "current":
        return {"state": "skipped", "says": row.reason, "unmeasured": True}
    if row.outcome in budget.outcomes:
        return {"state": "pass", "says": f"{row.outcome}, as expected: {row.reason}" if row.reason else row.outcome}
    if row.outcome == "ok":
        says = f"healed: it is ok, no longer {expected}; its exception can go ({budget.why})"
        return {"state": "pass", "says": says, "notable": True}
    return {"state": "fail", "says": f"{row.outcome}, must be {expected}: {row.reason}", "excess": math.inf}


def _judge_figure(row: Row, budget: Budget) -> Facts:
    if row.outcome != "ok":
        return {"state": "skipped", "says": f"{row.outcome}: {row.reason}", "unmeasured": row.evidence != "current"}
    held = row.sets.get(budget.set) if budget.set else row
    if held is None:  # a set that is the first one is not beside it; one that no cell has is a name that guards nothing
        says = f"it was judged on no other evaluation set called {budget.set!r}"
        return {"state": "skipped", "says": says, "unmeasured": row.dataset.name != budget.set}
    value = getattr(held, budget.metric)
    if value is None:
        return {"state": "skipped", "says": METRICS[budget.metric], "unmeasured": budget.metric not in SYSTEM}
    low, high = value, value
    if budget.metric in NOISY:
        low, high = (getattr(row, f"{budget.metric}_{side}") for side in ("low", "high"))
    least = -math.inf if budget.min is None else budget.min
    most = math.inf if budget.max is None else budget.max
    if not all(math.isfinite(figure) for figure in (value, low, high)):  # compares with nothing, so it must not pass
        return {"state": "fail", "says": f"{value} is no figure ({budget.why})", "excess": math.inf}
    if high < least or low > most:
        limit, word = (least, "less") if high < least else (most, "more")
        says = f"{_text(value)} is {word} than {_text(limit)} ({budget.why})"
        return {"state": "fail", "says": says, "excess": abs(value - limit) / (abs(limit) or 1.0)}
    if low < least or high > most:
        limits = " and ".join(_text(limit) for limit in (least, most) if math.isfinite(limit))
        says = f"too noisy to say: {value:.6g} ({low:.6g} to {high:.6g}) against {limits}"
        return {"state": "skipped", "says": says}
    return {"state": "pass", "says": _text(value)}


def _text(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
