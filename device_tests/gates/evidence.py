"""Whether a check rests on enough evidence: no gate is green where nothing was judged."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from device_tests import devices
from device_tests.cells import Cell, cells
from device_tests.contract import DESKTOP
from device_tests.gates.budgets import Budget, Missing
from device_tests.gates.verdicts import Verdict
from device_tests.onboard.runtimes import FURTHER
from device_tests.results.row import Row

LEAST = 0.5  # share of the cells that must have a current result


@dataclass(frozen=True, kw_only=True)
class Lack:
    """A piece of evidence that a check lacks, and what to type next."""

    id: str
    why: str


def lacks(
    rows: tuple[Row, ...],
    budgets: tuple[Budget, ...],
    verdicts: tuple[Verdict, ...],
    *,
    missing: tuple[Missing, ...] = (),
    named: tuple[str, ...] = (),
    whole: bool = True,
) -> tuple[Lack, ...]:
    """Return what the verdicts lack as evidence; nothing where they are enough.

    `missing` lists what may be unmeasured, `named` the devices that a person named. `whole` says that the command line
    left out no cell: then every required budget must decide something.
    """
    # what could not be exported has a row without inputs, and a browser's has none either
    judged = [row for row in rows if row.evidence == "current" and (row.inputs or row.outcome == "ok")]
    if not judged or not any(verdict.state != "skipped" for verdict in verdicts):
        reasons = (*(v.message for v in verdicts if judged), *(row.reason for row in rows if not judged))
        first = next(filter(None, reasons), "no budget is for these cells" if rows else "no cell is chosen")
        return (Lack(id="*", why=f"nothing was judged; the first reason: {first}"),)
    expected = [row for row in rows if not any(m.covers(row.id) for m in missing)]
    counted = [row for row in expected if row.device in (named or (DESKTOP,))]
    there = {row.device for row in judged}
    return (
        *(Lack(id=f"*@{name}", why=f"no result of {name} counts") for name in named if name not in there),
        # an unusable result may hide a broken budget on any device; stale ones of other devices are normal
        *_unusable([row for row in expected if row in counted or row.evidence == "unusable"]),
        *_too_few(counted),
        *_undecided(rows, budgets, verdicts, missing, whole),
    )


def _unusable(rows: list[Row]) -> Iterable[Lack]:
    """Yield the reasons of results that are there and do not count, because something has changed or they cannot be."""
    reasons = Counter(row.reason.partition(": nox ")[0] for row in rows if row.evidence in ("stale", "unusable"))
    for reason, count in reasons.most_common():
        first = next(row for row in rows if row.reason.startswith(reason))
        yield Lack(id=first.id, why=f"{reason}{f' (and {count - 1:,} more)' if count > 1 else ''}")


def _too_few(rows: list[Row]) -> Iterable[Lack]:
    # a quick run leaves out further engines and must still count
    rows = [row for row in rows if row.runtime not in FURTHER or row.evidence != "missing"]
    current = sum(row.evidence == "current" for row in rows)
    if current < LEAST * len(rows):
        first = next(row.reason for row in rows if row.evidence != "current")
        counted = f"only {current:,} of {len(rows):,} cells have a result that counts"
        yield Lack(id="*", why=f"{counted}; the first that has none: {first}")


def _left_out(budget: Budget, every: tuple[Cell, ...], rows: tuple[Row, ...]) -> bool:
    """Tell whether a budget is of further engines alone and none of its cells has run, as in a quick run."""
    own = [cell for cell in every if budget.matches(cell.id)]
    ran = any(row.evidence == "current" and budget.matches(row.id) for row in rows)
    return bool(own) and all(cell.further for cell in own) and not ran


def _undecided(
    rows: tuple[Row, ...],
    budgets: tuple[Budget, ...],
    verdicts: tuple[Verdict, ...],
    missing: tuple[Missing, ...],
    whole: bool,
) -> Iterable[Lack]:
    every = cells(*(name for name in devices.names() if not name.endswith(":")))
    # none of these can have a figure, so that they neither decide nor excuse a budget of other cells, too
    without = {row.id for row in rows if row.evidence == "current" and row.outcome != "ok"}
    for budget in budgets:
        if not budget.required or _left_out(budget, every, rows):
            continue
        own = [v for v in verdicts if v.budget is budget]
        own = [v for v in own if v.state != "skipped" or v.id not in without] or own
        if any(not v.unmeasured for v in own):
            continue
        if not own and (not whole or any(budget.matches(row.id) for row in rows)):
            continue  # its cells were left out, or later rows decide them, which `shadowed` reports
        if all(any(m.covers(id, budget.metric) for m in missing) for id in ([v.id for v in own] or budget.ids)):
            continue
        none = "none of its cells has run"
        why = f"for each of its {len(own):,} cells, as the first: {own[0].message}" if own else none
        nothing = f"line {budget.line}: the budget of {budget.figure} decides nothing, {why}"
        yield Lack(id=", ".join(budget.ids), why=nothing)
