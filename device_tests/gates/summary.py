"""What a pull request shows: what broke and what changed, worst first, as Markdown and as GitHub's annotations."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from device_tests.gates.baseline import Comparison
from device_tests.gates.evidence import Lack
from device_tests.gates.verdicts import Verdict, worst_first
from models.common.console import printable
from models.common.markdown import LIMIT_BYTES, plain

REASONS = 20  # why figures were not compared
SIGNS = {"fail": "❌", "skipped": "❔", "pass": "✓"}
ANNOTATIONS = 10  # GitHub shows no more of one step
ANNOTATION_CELLS = 5


def markdown(verdicts: Iterable[Verdict], comparison: Comparison | None, lacks: tuple[Lack, ...] = ()) -> str:
    """Return the summary in at most LIMIT_BYTES; `comparison` is with a baseline, None where there is none."""
    verdicts = worst_first(verdicts)
    broken = [v for v in verdicts if v.state == "fail"]
    others = [v for v in verdicts if v.tells and v.state != "fail"]
    counts = Counter(v.state for v in verdicts)
    title = "budgets are broken" if broken else "not enough evidence" if lacks else "every budget is kept"
    tally = f"{counts['pass']:,} limits kept, {counts['fail']:,} broken, {counts['skipped']:,} skipped."
    parts = [f"## Edgewise: {title}\n\n{tally}\n"]
    if lacks:
        parts.append("\n### What is missing\n\n")
        parts += [f"- {plain(lack.id)}: {plain(lack.why)}\n" for lack in lacks[:REASONS]]
        if len(lacks) > REASONS:
            parts.append(f"- and {len(lacks) - REASONS:,} more\n")
    sections = [("Broken budgets", broken), ("Budgets to look at", others)]
    if comparison is None:
        parts.append("\nThere was no baseline to compare with.\n")
    else:
        changes = worst_first(comparison.verdicts)
        moved = [v for v in changes if v.state != "skipped"]
        unclaimed = sum(v.state == "fail" for v in moved)
        some = f"{len(moved):,} figures changed against the baseline; {unclaimed:,} of them must be mended or claimed."
        none = f"{comparison.unchanged:,} sizes and costs are as in the baseline, and nothing that can be compared changed."
        parts.append(f"\n{some if moved else none}\n\n")
        reasons = Counter(f"{v.metric}: {v.message}" for v in changes if v.state == "skipped").most_common(REASONS)
        parts += [f"- {count:,} × {plain(reason)}\n" for reason, count in reasons]
        sections.append(("Changes against the baseline, worst first", moved))
    left = LIMIT_BYTES - sum(len(part.encode()) for part in parts)
    for i, (heading, section) in enumerate(sections):
        if section:
            part = _table(heading, section, left // (len(sections) - i))
            left -= len(part.encode())
            parts.append(part)
    return "".join(parts)


def _table(title: str, verdicts: list[Verdict], limit_bytes: int) -> str:
    """Return a heading and a row for each verdict, as many as fit."""
    text = f"\n### {title}\n\n| | cell | figure | what |\n|---|---|---|---|\n"
    more = "\n{:,} more rows do not fit here.\n"
    room = limit_bytes - len(text.encode()) - len(more) - 10
    for i, v in enumerate(verdicts):
        row = f"| {SIGNS[v.state]} | {plain(v.id)} | {v.metric} | {plain(v.message)} |\n"
        room -= len(row.encode())
        if room < 0:
            return text + more.format(len(verdicts) - i)
        text += row
    return text


def annotations(verdicts: Iterable[Verdict], lacks: tuple[Lack, ...], file: Path) -> list[str]:
    """Return a line for each broken budget, worst first, which GitHub shows beside the budget's line.

    One more line says what evidence is missing. See
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    by_budget: dict[object, list[Verdict]] = {}
    for verdict in worst_first(v for v in verdicts if v.state == "fail"):
        by_budget.setdefault(verdict.budget or verdict.metric, []).append(verdict)
    lines = []
    for broken in list(by_budget.values())[:ANNOTATIONS]:
        budget, metric = broken[0].budget, broken[0].metric
        place = f"file={_escape(file.as_posix())},line={budget.line}," if budget else ""
        title = f"{metric}: {len(broken)} {'broken' if budget else 'not as in the baseline'}"
        messages = "\n".join(f"{v.id}: {v.message}" for v in broken[:ANNOTATION_CELLS])
        more = f"\nand {len(broken) - ANNOTATION_CELLS} more" if len(broken) > ANNOTATION_CELLS else ""
        lines.append(f"::error {place}title={_escape(title)}::{_escape(messages + more, message=True)}")
    if lacks:
        missing = "\n".join(f"{lack.id}: {lack.why}" for lack in lacks[:ANNOTATION_CELLS])
        lines.append(f"::error title=no evidence: {len(lacks)}::{_escape(missing, message=True)}")
    return lines


def _escape(text: str, *, message: bool = False) -> str:
    text = "\n".join(map(printable, text.splitlines())).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if message else text.replace(":", "%3A").replace(",", "%2C")
