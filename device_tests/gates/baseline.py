"""Baselines: what an earlier run gave, one line per cell, so that a difference reads well in git; size and cost ratchet."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

from device_tests.gates.budgets import Verdict
from device_tests.results.measurement import Measurement
from models import files
from models.errors import DataError

FILE = "baseline.json"
UPDATE = "nox -s check -- --update-baseline"

# How far a figure may move before it must be claimed: by a share of it, and by so much. Two exports to .ort differ by
# some 8 bytes, all others are equal. Instructions are the same to the last digit on one machine; another C library or
# kernel moves them a little.
RATCHETS = {"size_bytes": (0.0, 64), "instructions": (0.002, 0)}
ORIGIN = ("outcome", "checkpoint", "data", "cpu")
ANSWERS = ("correct", "agree")  # budgets decide about them; here they are only told

Line = dict[str, Any]


def line(row: Measurement) -> Line:
    """Return what a baseline keeps of a result: its figures, and what others must share with it to be compared."""
    return {
        "outcome": row.outcome,
        "checkpoint": row.checkpoint_sha256[:12],
        "data": f"{row.dataset.get('name', '')} {row.dataset.get('sha256', '')[:12]}".strip(),
        "cpu": row.instructions_cpu,
        "total": row.total,
        **{figure: getattr(row, figure) for figure in (*RATCHETS, *ANSWERS)},
    }


def load(name: str) -> dict[str, Line]:
    """Read a baseline from a file, or from the revision of git that is called so; raises DataError for neither."""
    if Path(name).is_file():
        text = Path(name).read_text(errors="replace")
    else:
        command = ["git", "show", "--end-of-options", f"{name}:{FILE}"]
        try:
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
            msg = f"{name} is neither a file nor a revision with a {FILE} ({told}). Write one with: {UPDATE}"
            raise DataError(msg) from error
    try:
        cells = json.loads(text)["cells"]
        for id, known in cells.items():
            if not all(isinstance(known[field], str) for field in ORIGIN) or not all(
                known[field] is None or isinstance(known[field], int) for field in ("total", *RATCHETS, *ANSWERS)
            ):
                raise ValueError(id)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{name} holds no baseline ({type(error).__name__}: {error}). Write one with: {UPDATE}"
        raise DataError(msg) from error
    return cells


def save(rows: tuple[Measurement, ...], file: Path) -> int:
    """Write the rows' baseline, sorted, and return how many cells are new in it.

    A cell that has no result in this run keeps the line that it has, and so do those of devices that are not among the
    rows; one that is no longer in the matrix loses it.
    """
    known = load(str(file)) if file.exists() else {}
    cells = {row.id: line(row) for row in rows if row.outcome != "skipped"}
    lost = _lost(rows, known)
    kept = {id: content for id, content in known.items() if id not in lost}
    lines = [f"{json.dumps(id)}: {json.dumps(content)}" for id, content in sorted((kept | cells).items())]
    files.write_bytes(file, ('{"cells": {\n' + ",\n".join(lines) + "\n}}\n").encode())
    return len(cells.keys() - known.keys())


def compare(rows: tuple[Measurement, ...], known: dict[str, Line]) -> tuple[Verdict, ...]:
    """Return a verdict for whatever is not as in the baseline, and none for what is.

    A figure that grew beyond its ratchet fails, and so does one that shrank: the gain must be claimed, or the next loss
    hides in it. What is of another checkpoint, data set or processor is not compared, and says so.
    """
    verdicts = [verdict for row in rows for verdict in _compare(row, known.get(row.id))]
    gone = (_skip(id, "outcome", f"no longer in the matrix: {UPDATE}") for id in _lost(rows, known))
    return (*verdicts, *gone)


def unchanged(rows: tuple[Measurement, ...], known: dict[str, Line]) -> int:
    """Return how many sizes and costs are exactly as in the baseline, of which compare() says nothing."""
    pairs = [(known[row.id], line(row)) for row in rows if row.id in known and row.outcome != "skipped"]
    return sum(old[figure] is not None and old[figure] == new[figure] for old, new in pairs for figure in RATCHETS)


def _lost(rows: tuple[Measurement, ...], known: dict[str, Line]) -> list[str]:
    """Return the cells that their devices no longer have; a device without any row has only not run here."""
    devices = {row.device for row in rows}
    return sorted(id for id in known.keys() - {row.id for row in rows} if id.rpartition("@")[2] in devices)


def _compare(row: Measurement, before: Line | None) -> list[Verdict]:
    if row.outcome == "skipped":
        return [_skip(row.id, "outcome", "in the baseline, without a result here: not compared")] if before else []
    if before is None:
        return [_skip(row.id, "outcome", f"not in the baseline: {UPDATE}")]
    now = line(row)
    for origin in ("checkpoint", "data"):
        if before[origin] and now[origin] and before[origin] != now[origin]:
            return [_skip(row.id, "outcome", f"of another {origin} than the baseline, not compared: {UPDATE}")]
    if before["outcome"] != now["outcome"]:
        worse = -math.inf if now["outcome"] == "ok" else math.inf
        says = f"{before['outcome']} → {now['outcome']}: {row.reason}".removesuffix(": ")
        return [Verdict(id=row.id, metric="outcome", state="pass", says=says, excess=worse)]
    found = [_ratchet(row.id, figure, before, now) for figure in RATCHETS]
    if before["total"] == now["total"]:
        found += [_told(row.id, figure, before, now) for figure in ANSWERS]
    elif before["total"] and now["total"]:
        says = f"judged on {now['total']:,} images, the baseline on {before['total']:,}: answers not compared"
        found.append(_skip(row.id, "correct", says))
    return [verdict for verdict in found if verdict]


def _ratchet(id: str, figure: str, before: Line, now: Line) -> Verdict | None:
    old, new = before[figure], now[figure]
    if old == new:
        return None
    if old is None or new is None:
        return _skip(id, figure, f"{figure} only in the {'results' if old is None else 'baseline'}: not compared")
    if figure == "instructions" and before["cpu"] != now["cpu"]:
        return _skip(id, figure, f"counted on {now['cpu']}, the baseline on {before['cpu']}: not compared")
    share, absolute = RATCHETS[figure]
    if abs(new - old) <= max(share * old, absolute):
        return None
    grown = (new - old) / (old or 1)
    what = "it grew; mend it, or accept it" if grown > 0 else "a gain; claim it"
    says = f"{old:,} → {new:,} ({new - old:+,}, {grown:+.2%}): {what} with {UPDATE}"
    return Verdict(id=id, metric=figure, state="fail", says=says, excess=grown)


def _told(id: str, figure: str, before: Line, now: Line) -> Verdict | None:
    old, new = before[figure], now[figure]
    if old == new:
        return None
    says = f"{old:,} → {new:,} of {now['total']:,} ({new - old:+,})"
    return Verdict(id=id, metric=figure, state="pass", says=says, excess=(old - new) / now["total"])


def _skip(id: str, metric: str, says: str) -> Verdict:
    return Verdict(id=id, metric=metric, state="skipped", says=says)
