"""The sweep: what each scheme costs on each emulated core, in instructions, and whether its logits are the desktop's."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Column, Table

from device_tests.report import engines
from device_tests.report.engines import Counts
from device_tests.report.groups import Group
from device_tests.results.row import Row
from models.common import markdown
from models.common.console import plain

TITLE = "instructions per inference on emulated devices, and whether the logits are the desktop's to the last bit"


def sweeps(groups: tuple[Group, ...]) -> tuple[Counts, ...]:
    """Return the counts of each model that ran on emulated devices: a line per artifact and runtime, a cell per place."""
    emulated = [g for g in groups if g.emulated]
    return tuple(
        _sweep(model, {g.place: g.rows for g in emulated if g.model == model})
        for model in dict.fromkeys(g.model for g in emulated)
    )


def _sweep(model: str, by_place: dict[str, tuple[Row, ...]]) -> Counts:
    row_of = {(row.artifact, row.runtime, place): row for place, rows in by_place.items() for row in rows}
    names = dict.fromkeys((artifact, runtime) for artifact, runtime, _ in row_of)
    cells = (tuple(_cell(row_of.get((*name, place))) for place in by_place) for name in names)
    lines = ((name.removeprefix(f"{model}-"), runtime, own) for (name, runtime), own in zip(names, cells, strict=True))
    return Counts(of=model, heads=("artifact", "runtime", *by_place), lines=tuple(lines))


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.outcome != "ok":
        return row.outcome
    counted = "not counted" if row.instructions is None else f"{row.instructions:,}"
    if row.bound_share is not None:
        counted += f" ({row.bound_share:.0%} of the limit)"
    if row.rewrites_instructions is not None:
        counted += f", rewritten {row.rewrites_instructions - 1:+.0%}"
    if row.compared is None:
        return counted
    return f"{counted}, {'same' if row.same == row.compared else f'{row.same:,} of {row.compared:,} same'}"


def show(groups: tuple[Group, ...], console: Console) -> None:
    """Print a table per model of what emulated devices execute, and one of the engines per device."""
    for title, heads, names, lines in _tables(groups):
        left = (Column(plain(head), no_wrap=True) for head in heads[:names])
        right = (Column(plain(head), justify="right") for head in heads[names:])
        table = Table(*left, *right, title=plain(title), title_justify="left")
        for line in lines:
            table.add_row(*map(plain, line))
        console.print(table)


def sections(groups: tuple[Group, ...]) -> Iterator[str]:
    """Yield the same tables in Markdown."""
    for title, heads, names, lines in _tables(groups):
        rule = f"|{' --- |' * names}{' --: |' * (len(heads) - names)}"
        rows = (markdown.row(line) for line in lines)
        yield "\n".join([f"## {markdown.plain(title)}", "", markdown.row(list(heads)), rule, *rows, ""])


def _tables(groups: tuple[Group, ...]) -> Iterator[tuple[str, tuple[str, ...], int, list[list[str]]]]:
    """Yield each table's title, headings, the number of columns that are names, and lines."""
    titled = [*((TITLE, one) for one in sweeps(groups)), *((engines.TITLE, one) for one in engines.races(groups))]
    for title, counts in titled:
        names = len(counts.lines[0]) - 1
        yield f"{counts.of}: {title}", counts.heads, names, [[*name, *cells] for *name, cells in counts.lines]
