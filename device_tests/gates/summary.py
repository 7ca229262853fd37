"""What a pull request shows: what broke and what changed, worst first, as Markdown and as GitHub's annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from device_tests.gates.budgets import Verdict, worst_first

LIMIT_BYTES = 60_000  # GitHub takes 65,536 characters in a comment
CELL_CHARACTERS = 300  # of a reason in a table
REASONS = 20  # why figures were not compared
# `@` would call people, the others begin markup
MARKS = str.maketrans({**{mark: f"\\{mark}" for mark in "\\`*_[]|#~"}, **{mark: f"&#{ord(mark)};" for mark in "<>@&"}})
SIGNS = {"fail": "❌", "skipped": "❔", "pass": "✓"}
ANNOTATIONS = 10  # GitHub shows no more of one step
ANNOTATION_CELLS = 5


def markdown(verdicts: Iterable[Verdict], changes: Iterable[Verdict] | None) -> str:
    """Return the summary, under LIMIT_BYTES; `changes` are against a baseline, None where there is none to compare with."""
    verdicts = worst_first(verdicts)
    broken = [v for v in verdicts if v.state == "fail"]
    others = [v for v in verdicts if v.tells and v.state != "fail"]
    counts = Counter(v.state for v in verdicts)
    told = f"{counts['pass']:,} limits kept, {counts['fail']:,} broken, {counts['skipped']:,} skipped."
    parts = [f"## Edgewise: {'budgets are broken' if broken else 'every budget is kept'}\n\n{told}\n"]
    sections = [("Broken budgets", broken), ("Budgets to look at", others)]
    if changes is None:
        parts.append("\nThere was no baseline to compare with.\n")
    else:
        changes = worst_first(changes)
        moved = [v for v in changes if v.state != "skipped"]
        unclaimed = sum(v.state == "fail" for v in moved)
        told = f"{len(moved):,} figures changed against the baseline; {unclaimed:,} of them must be mended or claimed."
        parts.append(f"\n{told if moved else 'Nothing that can be compared changed against the baseline.'}\n\n")
        reasons = Counter(f"{v.metric}: {v.says}" for v in changes if v.state == "skipped").most_common(REASONS)
        parts += [f"- {count:,} × {_plain(reason)}\n" for reason, count in reasons]
        sections.append(("Changes against the baseline, worst first", moved))
    left = LIMIT_BYTES - sum(len(part.encode()) for part in parts)
    for i, (title, found) in enumerate(sections):
        if found:
            part = _table(title, found, left // (len(sections) - i))
            left -= len(part.encode())
            parts.append(part)
    return "".join(parts)


def _table(title: str, verdicts: list[Verdict], limit_bytes: int) -> str:
    """Return a heading and a row for each verdict, as many as fit."""
    text = f"\n### {title}\n\n| | cell | figure | what |\n|---|---|---|---|\n"
    more = "\n{:,} more rows do not fit here.\n"
    room = limit_bytes - len(text.encode()) - len(more) - 10
    for i, v in enumerate(verdicts):
        row = f"| {SIGNS[v.state]} | {_plain(v.id)} | {v.metric} | {_plain(v.says)} |\n"
        room -= len(row.encode())
        if room < 0:
            return text + more.format(len(verdicts) - i)
        text += row
    return text


def _plain(text: str) -> str:
    """Return one line that Markdown shows as it is: reasons come from libraries, and may hold anything."""
    line = " ".join(text.split())
    line = line if len(line) <= CELL_CHARACTERS else line[: CELL_CHARACTERS - 1] + "…"
    return line.translate(MARKS)


def annotations(verdicts: Iterable[Verdict], file: Path) -> list[str]:
    """Return a line for each broken budget, which GitHub shows at its place in the budgets' file, worst first.

    See https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    by_budget: dict[object, list[Verdict]] = {}
    for verdict in worst_first(v for v in verdicts if v.state == "fail"):
        by_budget.setdefault(verdict.budget or verdict.metric, []).append(verdict)
    lines = []
    for broken in list(by_budget.values())[:ANNOTATIONS]:
        budget, metric = broken[0].budget, broken[0].metric
        place = f"file={_escape(file.as_posix())},line={budget.line}," if budget else ""
        title = f"{metric}: {len(broken)} {'broken' if budget else 'not as in the baseline'}"
        says = "\n".join(f"{v.id}: {v.says}" for v in broken[:ANNOTATION_CELLS])
        more = f"\nand {len(broken) - ANNOTATION_CELLS} more" if len(broken) > ANNOTATION_CELLS else ""
        lines.append(f"::error {place}title={_escape(title)}::{_escape(says + more, message=True)}")
    return lines


def _escape(text: str, *, message: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if message else text.replace(":", "%3A").replace(",", "%2C")
