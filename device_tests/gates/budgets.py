"""Budgets: limits, read from budgets.toml."""

import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, structs

from device_tests.results.measurement import OUTCOMES
from models import networks
from models.common import files, records
from models.common.errors import DataError, UsageError, did_you_mean

FILE = "budgets.toml"

T = TypeVar("T")

# Attributes of a row, each with the reason for a row that ran and has none. The outcome comes first, for a
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
    "bound_share": "its instructions were not counted, or the core's limit is not known: nox -s instructions",
    "covered_share": "its file tells no weights",
    "covered_macs": "its file's layers are not the network's products, as fused or shared ones are not",
    "delegated_share": "it has no placement report (nox -s explain -- --all), or its runtime no delegate",
    "latency_ratio": "it was not timed in one run with a float32 row: nox -s latency",
}
MOST_BYTES = 16 << 20  # of the file
MOST = 1e300  # the largest limit; NaN is not below it either
OF_SETS = ("top1", "agreement")  # the figures that other evaluation sets have, too
RENAMED = {f"digits_{metric}": f'`metric = "{metric}"` with `set = "digits"`' for metric in OF_SETS}
Globs = Annotated[tuple[str, ...], Meta(min_length=1)]
TABLE = re.compile(r"^\s*\[\[\s*(budget|missing)\s*\]\]")


class Budget(records.Record, kw_only=True, rename={"outcomes": "is"}):
    """A limit for the cells that a glob of `ids` matches: `min` and `max` of a figure, or the `outcomes` it may have.

    `set` names the evaluation set that the figure is of, "" for the first. A `required` budget must decide something in
    a whole run. `line` is its line in the file.
    """

    ids: Globs
    metric: str
    why: str
    set: str = ""
    min: int | float | None = None
    max: int | float | None = None
    outcomes: str | tuple[str, ...] = ()
    required: bool = True
    line: int = 0

    @property
    def figure(self) -> str:
        """The limited figure, as people read it."""
        return f"{self.metric} on {self.set}" if self.set else self.metric

    def matches(self, id: str) -> bool:
        return any(fnmatch.fnmatchcase(id, pattern) for pattern in self.ids)


class Missing(records.Record, kw_only=True):
    """What `--allow-missing` accepts to be unmeasured: figures of a `metric`, or whole cells where it is ""."""

    ids: Globs
    why: str
    metric: str = ""
    line: int = 0

    def covers(self, id: str, metric: str = "") -> bool:
        """Tell whether a cell, or one figure of it, may be missing."""
        return self.metric in ("", metric) and any(fnmatch.fnmatchcase(id, pattern) for pattern in self.ids)


class File(records.Record, kw_only=True):
    """The content of budgets.toml."""

    budgets: tuple[Budget, ...] = ()
    missing: tuple[Missing, ...] = ()


def load(file: Path, ids: tuple[str, ...]) -> File:
    """Read the budgets; raises DataError for a missing or broken file, UsageError for a row that makes no sense."""
    try:
        text = files.read_bytes(file, MOST_BYTES).decode("utf-8-sig")  # some editors begin a file with a mark
        content = tomllib.loads(text)
    except FileNotFoundError as error:
        raise DataError(f"{file} is not there. Restore it, or name another with --budgets.") from error
    except RecursionError as error:
        raise DataError(f"{file} is no TOML: it is nested too deeply.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no TOML: {error}") from error
    tables = {kind: content.get(kind, []) for kind in ("budget", "missing")}
    if content.keys() - tables or not all(isinstance(rows, list) for rows in tables.values()):
        raise UsageError(f"{file} may hold [[budget]] and [[missing]] tables only, it has: {', '.join(content)}.")
    matches = [(i, match[1]) for i, line in enumerate(text.splitlines(), start=1) if (match := TABLE.match(line))]
    lines = {kind: [i for i, name in matches if name == kind] for kind in tables}
    for kind, rows in tables.items():
        if len(lines[kind]) != len(rows):  # verdicts name the line
            msg = f"{file} has {len(rows)} [[{kind}]] tables, but {len(lines[kind])} lines that say [[{kind}]]. Begin each with such a line."
            raise UsageError(msg)
    budgets = zip(tables["budget"], lines["budget"], strict=True)
    missing = zip(tables["missing"], lines["missing"], strict=True)
    return File(
        budgets=tuple(_Reader(file, line, ids).budget(row) for row, line in budgets),
        missing=tuple(_Reader(file, line, ids).typed(row, Missing) for row, line in missing),
    )


def are_missing(file: Path) -> bool:
    """Tell whether a user's networks have no budgets yet."""
    return networks.folder() is not None and file == networks.default(FILE) and not file.exists()


def beside(file: Path, ids: tuple[str, ...]) -> File:
    """Read the budgets; a user's networks without budgets get the outcomes that hold of any network. Raises as `load`."""
    if not are_missing(file):
        return load(file, ids)
    # stands for any cell that the file's globs name
    return load(OUTCOMES_FILE, (*ids, "any-tflite-any@tflite_runtime@any"))


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
        """Return a table as a record whose globs and reason are checked."""
        keys = [name for name in kind.__struct_encode_fields__ if name != "line"]
        for name in row if isinstance(row, dict) else ():
            if name not in keys:
                raise self.refusal(f"there is no key {name!r}. {did_you_mean(name, keys)}")
        try:
            table = structs.replace(records.convert(row, kind), line=self.line)
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
        """Tell whether a glob matches a cell, or could match one of a phone, board or browser without results here."""
        if fnmatch.filter(self.ids, pattern):
            return True
        artifact, _, rest = pattern.partition("@")
        runtime, _, device = rest.partition("@")  # the device may hold an @ itself: ssh:user@host
        kind, colon, name = device.partition(":")
        named = [id.rpartition("@")[0] for id in self.ids if id.endswith(f"@{kind}:NAME")]
        return bool(colon and name and fnmatch.filter(named, f"{artifact}@{runtime}"))

    def budget(self, row: Any) -> Budget:
        table = self.typed(row, Budget)
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
        return structs.replace(table, outcomes=outcomes)
