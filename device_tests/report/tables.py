"""The report: one table per model with its eager row, in the terminal, as Markdown, JSON and SVG."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Column, Table

from device_tests.report import sweep
from device_tests.report.columns import columns
from device_tests.report.groups import Group
from device_tests.report.notes import footnotes, warnings
from device_tests.results.row import Row
from models.common import files, markdown
from models.common.console import WIDTH, plain

# columns that do not fit into a terminal, which is WIDTH wide
NOT_IN_TERMINAL = (
    *("p90 µs", "of limit %", "of peak %", "deleg. %", "load ms", "batch", "weights %", "MACs %"),
    *("options", "rewrites", "NPU %"),
)
WHOLE = 20_000  # most characters of a reason in Markdown
SHORT = 160  # characters of a reason in the terminal; Markdown and JSON hold it whole
DATASETS = {"mnist": "MNIST test images", "digits": "digits, NOT MNIST"}  # others go by their own names
STATISTICS = ("top1", "top1_interval", "agreement", "flip_rate", "top1_loss", "top1_loss_bound", "mcnemar_p", "top5", "source_top5",
              "recall_loss", "p50_ns", "p90_ns", "peak_over_runtime_bytes")  # fmt: skip
_md, _line = partial(markdown.plain, most=WHOLE), partial(markdown.row, most=WHOLE)
LONG = ("latencies_ns", "log", "flips")  # fields that report.json leaves out
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "dim"}


def show(groups: tuple[Group, ...], margin_points: float, console: Console) -> None:
    """Print the tables, the picks and the footnotes."""
    for g in (g for g in groups if not g.emulated):
        drawn = [(title, cell) for title, cell in columns(g) if title not in NOT_IN_TERMINAL]
        artifact, runtime, outcome = (Column(name, no_wrap=True) for name in ("artifact", "runtime", "outcome"))
        figures = (Column(plain(title), justify="right", no_wrap=True) for title, _ in drawn)
        table = Table(artifact, runtime, *figures, outcome, title=plain(_title(g)), title_justify="left")
        for row in g.rows:
            figures = (cell(row, g.eager) for _, cell in drawn)
            ended = f"{_coloured(row)}{' *' if row.notes else ''}"
            table.add_row(plain(_name(row)), plain(row.runtime), *map(plain, figures), ended)
        console.print(table)
        _show_reasons(g, console)
        for line in _advice(g, margin_points):
            console.print(plain(line), soft_wrap=True)
        console.print()
    sweep.show(groups, console)
    for g in (g for g in groups if g.emulated):
        _show_reasons(g, console)
    for line in warnings(groups):
        console.print(f"[bold yellow]{plain(line)}[/]", soft_wrap=True)
    for line in footnotes(groups):
        console.print(plain(line), soft_wrap=True)


def _show_reasons(g: Group, console: Console) -> None:
    """Print why cells failed; the footnotes count those without a result."""
    for row in g.rows:
        if row.reason and row.outcome != "skipped":
            short = row.reason if len(row.reason) <= SHORT else row.reason[: SHORT - 1] + "…"
            line = plain(f"{row.artifact} on {row.runtime}, {g.place}: {short}")
            console.print(f"{_coloured(row)} {line}", soft_wrap=True)


def write(groups: tuple[Group, ...], margin_points: float, folder: Path, svg: Path | None) -> tuple[Path, ...]:
    """Write report.md and report.json into the folder, and the picture if it is wanted; return the paths."""
    text, data = folder / "report.md", folder / "report.json"
    files.write_bytes(text, _markdown(groups, margin_points).encode())
    files.write_json(data, [_json(g, margin_points) for g in groups])
    if svg is None:
        return text, data
    recorder = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    show(groups, margin_points, recorder)
    files.write_bytes(svg, recorder.export_svg(title="edgewise report").encode())
    return text, data, svg


def _name(row: Row) -> str:
    return row.artifact.split("-", 1)[1]


def _coloured(row: Row) -> str:
    return f"[{COLOURS.get(row.outcome, 'red')}]{row.outcome}[/]"


def _title(g: Group) -> str:
    names = sorted({r.dataset.name for r in g.rows if r.dataset.name})
    judged_on = " and ".join(DATASETS.get(name, name) for name in names) or "no results yet"
    return f"{g.model} on {g.place}: {judged_on}"


def _advice(g: Group, margin_points: float) -> list[str]:
    if not g.picks:
        return [f"Nothing that can ship stays within {margin_points:g} points of the float source's top-1."]
    rule = (
        f"Which one to ship, of those that lose at most {margin_points:g} points of top-1 (PyTorch and TensorFlow "
        "themselves are compared with, never recommended; of equals the lighter runtime is taken):"
    )
    return [rule, *(f"- {p.title}: {p.id} ({p.message})" for p in g.picks)]


def _markdown(groups: tuple[Group, ...], margin_points: float) -> str:
    """Return as many tables as fit into a comment on GitHub; those left out are named."""
    lines = ["# Every artifact on every runtime", "", *(f"**{_md(line)}**\n" for line in warnings(groups))]
    end = [*sweep.sections(groups), *(f"- {_md(line)}" for line in footnotes(groups)), ""]
    groups = tuple(g for g in groups if not g.emulated)
    left_out = {id(g): f"{_md(_title(g))}: {len(g.rows)} rows do not fit here; report.json has them.\n" for g in groups}
    room = markdown.LIMIT_BYTES - len("\n".join([*lines, *left_out.values(), *end]).encode())
    for g in groups:
        section = "\n".join(_section(g, margin_points))
        fits = len(section.encode()) <= room
        room -= len(section.encode()) if fits else 0
        lines.append(section if fits else left_out[id(g)])
    return "\n".join([*lines, *end])


def _section(g: Group, margin_points: float) -> list[str]:
    titles = ["artifact", "runtime", *(title for title, _ in columns(g)), "outcome"]
    rule = f"| --- | --- |{' --: |' * len(columns(g))} --- |"
    lines = []
    for row in g.rows:
        remarks = "; ".join([f"{row.outcome}: {row.reason}" if row.reason else row.outcome, *row.notes])
        lines.append(_line([_name(row), row.runtime, *(cell(row, g.eager) for _, cell in columns(g)), remarks]))
    rule_of_advice, *picks = _advice(g, margin_points)
    advice = (_md(rule_of_advice), *(f"- {_md(line.removeprefix('- '))}" for line in picks))
    return [f"## {_md(_title(g))}", "", _line(titles), rule, *lines, "", *advice, ""]


def _json(g: Group, margin_points: float) -> dict[str, Any]:
    rows = []
    for row in g.rows:
        raw = {name: value for name, value in msgspec.to_builtins(row).items() if name not in LONG}
        statistics = {name: getattr(row, name) for name in STATISTICS}
        rows.append({"id": row.id, **raw, **statistics, "latency_samples": len(row.latencies_ns)})
    picks = [{"title": p.title, "id": p.id, "says": p.message} for p in g.picks]
    return {"model": g.model, "place": g.place, "margin_points": margin_points, "picks": picks, "rows": rows}
