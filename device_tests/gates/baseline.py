"""Baselines: an earlier run's figures, one line per cell, so that git shows a difference well; sizes and costs ratchet."""

import json
import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import structs

from device_tests.cells import takes
from device_tests.gates.verdicts import Verdict
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results import judging, parity
from device_tests.results.measurement import Outcome
from device_tests.results.row import Row
from export import matrix
from models.common import files, records
from models.common.errors import DataError
from models.common.records import Count, Positive, Record

FILE = "baseline.json"
UPDATE = "nox -s check -- --update-baseline"

# How far a figure may move before it must be claimed: as a share of it, and absolutely. Two exports to .ort differ by
# about 8 bytes, all others are equal. Instructions are the same to the last digit on one machine; another C library or
# kernel changes them a little.
RATCHETS = {"size_bytes": (0.0, 64), "instructions": (0.002, 0)}
ORIGINS = ("checkpoint", "data")  # of another origin predictions cannot be compared, but sizes and costs can
# Predictions are only shown here, and gated by budgets. Where two runs were judged on different numbers of images, those
# of the first 1,000 are compared.
PREDICTIONS, FIRST = ("correct", "agree"), ("first_correct", "first_agree")


class Line(Record, kw_only=True):
    """The figures of a result that a baseline holds, and their origins; digests are cut to 12 digits."""

    outcome: Outcome
    checkpoint: str
    data: str
    cpu: str
    total: Positive | None
    size_bytes: Count | None
    instructions: Count | None
    correct: Count | None
    agree: Count | None
    first_correct: Count | None = None
    first_agree: Count | None = None


class Baseline(Record, kw_only=True):
    """A baseline's cells by their ids."""

    cells: dict[str, Line]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What differs from a baseline, and how many sizes and costs are unchanged; `compared` counts both kinds."""

    verdicts: tuple[Verdict, ...]
    unchanged: int

    @property
    def compared(self) -> int:
        return self.unchanged + sum(verdict.state != "skipped" for verdict in self.verdicts)


def line(row: Row) -> Line:
    """Return the baseline's line of a result."""
    figures = ("total", "size_bytes", "instructions", *PREDICTIONS, *FIRST)
    return Line(
        outcome=row.outcome,
        checkpoint=row.checkpoint_sha256[:12],
        data=f"{row.dataset.name} {row.dataset.sha256[:12]}".strip(),
        cpu=row.instructions_cpu,
        **{figure: getattr(row, figure) for figure in figures},
    )


def load(name: str) -> dict[str, Line]:
    """Read a baseline from a file, or from a revision of git; raises DataError where the name is neither."""
    remedy = f"Write one with: {UPDATE}"
    if os.path.isfile(name):  # unlike Path's, it takes a name that no file can have
        remedy = f"Restore it, or remove it and write one with: {UPDATE}"  # which reads it first
        cells = records.read(Path(name), Baseline, what="baseline", remedy=remedy).cells
    else:
        try:
            command = ["git", "show", "--end-of-options", f"{name}:{FILE}"]
            content = subprocess.run(command, capture_output=True, check=True).stdout
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            words = (getattr(error, "stderr", b"") or b"").decode(errors="replace") or str(error)
            msg = f"{name} is neither a file nor a revision with a {FILE} ({words.strip().splitlines()[0]}). {remedy}"
            raise DataError(msg) from error
        cells = records.decode(content, Baseline, name=f"{name}:{FILE}", what="baseline", remedy=remedy).cells
    if not cells:
        raise DataError(f"{name} holds no cell, so that nothing can be compared with it. {remedy}")
    return cells


def save(rows: tuple[Row, ...], file: Path) -> int:
    """Write the rows' baseline, sorted, and return how many cells are new in it.

    A cell without a result that counts keeps its line, and so do the cells of devices that are not among the rows. A
    cell that is no longer in the matrix loses its line. A count of instructions stays while the file's size stays.
    """
    previous = load(str(file)) if file.exists() else {}
    cells = {row.id: line(row) for row in rows if _counts(row)}
    for id in cells.keys() & previous.keys():
        new, before = cells[id], previous[id]
        if new.instructions is None and new.size_bytes == before.size_bytes:
            cells[id] = structs.replace(new, instructions=before.instructions, cpu=before.cpu)
    lost = _lost(rows, previous)
    unchanged = {id: content for id, content in previous.items() if id not in lost}
    lines = [
        f"{json.dumps(id)}: {msgspec.json.encode(content).decode()}"
        for id, content in sorted((unchanged | cells).items())
    ]
    files.write_bytes(file, ('{"cells": {\n' + ",\n".join(lines) + "\n}}\n").encode())
    return len(cells.keys() - previous.keys())


def compare(rows: tuple[Row, ...], baseline: dict[str, Line]) -> Comparison:
    """Return a verdict for every figure that differs from the baseline, and the number of those that do not.

    A figure that grew beyond its ratchet fails, and so does one that shrank: a gain must be claimed, or the next loss
    hides in it. Predictions of another checkpoint or data set, and counts of another processor, are skipped with that
    reason.
    """
    verdicts: list[Verdict] = []
    unchanged = 0
    for row in rows:
        own, equal = _compare(row, baseline.get(row.id))
        verdicts += own
        unchanged += equal
    verdicts += (_skip(id, "outcome", f"no longer in the matrix: {UPDATE}") for id in _lost(rows, baseline))
    return Comparison(verdicts=tuple(verdicts), unchanged=unchanged)


def _counts(row: Row) -> bool:
    return row.outcome != "skipped" and row.evidence == "current"


def _lost(rows: tuple[Row, ...], baseline: dict[str, Line]) -> list[str]:
    """Return the cells that their devices no longer have; a device without a row has not run here, and loses none.

    That a cell has no row does not mean that it is gone: a check of some cells, or of a quick run, has rows of others.
    """
    devices, recipes = {row.device for row in rows}, {recipe.id: recipe for recipe in matrix.recipes()}

    def exists(id: str) -> bool:
        artifact, runtime, _ = id.split("@", 2)
        if runtime in parity.IN_BROWSERS:
            return artifact in recipes
        return artifact in recipes and runtime in RUNTIMES.names() and takes(runtime, recipes[artifact])

    there = (id for id in baseline.keys() - {row.id for row in rows} if id.split("@", 2)[-1] in devices)
    return sorted(id for id in there if id.count("@") < 2 or not exists(id))


def _compare(row: Row, before: Line | None) -> tuple[list[Verdict], int]:
    """Return what differs, and how many sizes and costs are equal."""
    if not _counts(row):
        return ([_skip(row.id, "outcome", "in the baseline, without a result here: not compared")] if before else []), 0
    if before is None:
        return [_skip(row.id, "outcome", f"not in the baseline: {UPDATE}")], 0
    now = line(row)
    if before.outcome != now.outcome:
        worse = -math.inf if now.outcome == "ok" else math.inf
        message = f"{before.outcome} → {now.outcome}: {row.reason}".removesuffix(": ")
        return [Verdict(id=row.id, metric="outcome", state="pass", message=message, excess=worse)], 0
    verdicts = [_ratchet(row.id, figure, before, now) for figure in RATCHETS]
    equal = sum(
        verdict is None and getattr(now, figure) is not None for figure, verdict in zip(RATCHETS, verdicts, strict=True)
    )
    verdicts += _compare_predictions(row.id, before, now)
    return [verdict for verdict in verdicts if verdict], equal


def _compare_predictions(id: str, before: Line, now: Line) -> list[Verdict | None]:
    others = [name for name in ORIGINS if (old := getattr(before, name)) and (new := getattr(now, name)) and old != new]
    if others:
        message = f"of another {' and '.join(others)} than the baseline: sizes and costs are compared, answers are not"
        return [_skip(id, "correct", message)]
    if before.total == now.total:
        return [_moved(id, figure, before, now, now.total) for figure in PREDICTIONS]
    if None not in (before.first_correct, now.first_correct) and min(before.total, now.total) >= judging.FIRST:
        return [_moved(id, figure, before, now, judging.FIRST) for figure in FIRST]
    if before.total and now.total:
        message = f"judged on {now.total:,} images, the baseline on {before.total:,}: answers not compared"
        return [_skip(id, "correct", message)]
    return []


def _ratchet(id: str, figure: str, before: Line, now: Line) -> Verdict | None:
    old, new = getattr(before, figure), getattr(now, figure)
    if old is None or new is None:
        there = "results" if old is None else "baseline"
        return None if old is new else _skip(id, figure, f"{figure} only in the {there}: not compared")
    if figure == "instructions" and before.cpu != now.cpu:
        return _skip(id, figure, f"counted on {now.cpu}, the baseline on {before.cpu}: not compared")
    share, absolute = RATCHETS[figure]
    if abs(new - old) <= max(share * old, absolute):
        return None
    grown = (new - old) / (old or 1)
    what = "it grew; mend it, or accept it" if grown > 0 else "a gain; claim it"
    message = f"{old:,} → {new:,} ({new - old:+,}, {grown:+.2%}): {what} with {UPDATE}"
    return Verdict(id=id, metric=figure, state="fail", message=message, excess=grown)


def _moved(id: str, figure: str, before: Line, now: Line, total: int) -> Verdict | None:
    old, new = getattr(before, figure), getattr(now, figure)
    if old == new or old is None or new is None:
        return None
    message = f"{old:,} → {new:,} of {total:,} ({new - old:+,})"
    return Verdict(id=id, metric=figure, state="pass", message=message, excess=(old - new) / total)


def _skip(id: str, metric: str, message: str) -> Verdict:
    return Verdict(id=id, metric=metric, state="skipped", message=message)
