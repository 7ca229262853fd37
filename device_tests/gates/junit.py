"""JUnit XML, which CI systems show: a case per cell and a case per budget."""

import re
from collections.abc import Iterable
from pathlib import Path

from device_tests.gates.budgets import Budget
from device_tests.gates.evidence import Lack
from device_tests.gates.verdicts import Verdict, worst_first
from device_tests.results.row import Row
from models.common import files

ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


def write(
    file: Path,
    rows: tuple[Row, ...],
    budgets: tuple[Budget, ...],
    verdicts: Iterable[Verdict],
    lacks: tuple[Lack, ...] = (),
) -> None:
    """Write one suite of cells, which fail with all their broken limits, and one of budgets, with all their cells."""
    from junitparser import JUnitXml, TestSuite

    by_cell: dict[str, list[Verdict]] = {}
    by_budget: dict[Budget | None, list[Verdict]] = {}
    for verdict in worst_first(verdicts):
        by_cell.setdefault(verdict.id, []).append(verdict)
        by_budget.setdefault(verdict.budget, []).append(verdict)
    suites = {
        "cells": [_cell(row, by_cell.get(row.id, [])) for row in rows],
        "budgets": [_budget(budget, by_budget.get(budget, [])) for budget in budgets],
    }
    if lacks:
        suites["evidence"] = [_case(lack.id, "evidence", 0.0, [lack.why], "") for lack in lacks]
    xml = JUnitXml("edgewise")
    for name, cases in suites.items():
        suite = TestSuite(name)
        suite.add_testcases(cases)
        xml.add_testsuite(suite)
    with files.whole(file) as temporary:
        xml.write(str(temporary), pretty=True)


def _cell(row: Row, verdicts: list[Verdict]):
    broken = [f"{v.metric}: {v.message}" for v in verdicts if v.state == "fail"]
    skipped = row.reason if row.outcome == "skipped" else ""
    return _case(row.id, f"{row.runtime}.{row.device}", row.seconds, broken, skipped)


def _budget(budget: Budget, verdicts: list[Verdict]):
    broken = [f"{v.id}: {v.message}" for v in verdicts if v.state == "fail"]
    decided = any(v.state != "skipped" for v in verdicts)
    skipped = "" if decided else (verdicts[0].message if verdicts else "later rows decide all its cells")
    return _case(f"{budget.figure} of {', '.join(budget.ids)} (line {budget.line})", "budgets", 0.0, broken, skipped)


def _case(name: str, group: str, seconds: float, broken: list[str], skipped: str):
    from junitparser import Failure, Skipped, TestCase

    case = TestCase(ILLEGAL.sub("?", name), classname=ILLEGAL.sub("?", group), time=seconds)
    if broken:
        failure = Failure(ILLEGAL.sub("?", broken[0]))
        failure.text = ILLEGAL.sub("?", "\n".join(broken))
        case.result = [failure]
    elif skipped:
        case.result = [Skipped(ILLEGAL.sub("?", skipped))]
    return case
