"""The report: one table per model against its eager row, in the terminal, as Markdown, JSON and SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from device_tests.advice import Pick, is_eager, picks
from device_tests.measurement import Measurement
from models import files
from models.console import WIDTH

SHORT = 56  # of an outcome in the terminal; Markdown and JSON hold it whole
STATISTICS = ("top1", "top1_interval", "agreement", "flip_rate", "top1_loss", "top1_loss_bound", "mcnemar_p", "digits_top1", "digits_agreement",
              "p50_ns", "p90_ns", "peak_over_runtime_bytes")  # fmt: skip
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "dim"}

Cell = Callable[[Measurement, Measurement | None], str]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One model's rows; `eager` is the bare network's, where it has run."""

    model: str
    rows: tuple[Measurement, ...]
    picks: tuple[Pick, ...]

    @property
    def eager(self) -> Measurement | None:
        return next((r for r in self.rows if is_eager(r) and r.outcome == "ok"), None)


def _figure(value: Callable[[Measurement], float | None], form: str, scale: float = 1) -> Cell:
    def text(row: Measurement, eager: Measurement | None) -> str:
        number = value(row)
        return "" if number is None else format(number * scale, form)

    return text


def _ratio(row: Measurement, eager: Measurement | None) -> str:
    return f"{row.p50_ns / eager.p50_ns:.2f}" if eager and row.p50_ns else ""


COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("KB", _figure(lambda r: r.size_bytes, ",.1f", 1e-3)),
    ("top-1 %", _figure(lambda r: r.top1, ".2f", 100)),
    ("n", _figure(lambda r: r.total, ",")),
    ("agree %", _figure(lambda r: r.agreement, ".2f", 100)),
    ("max error", _figure(lambda r: r.max_abs_error, ".2g")),
    ("p50 µs", _figure(lambda r: r.p50_ns, ",.0f", 1e-3)),
    ("p90 µs", _figure(lambda r: r.p90_ns, ",.0f", 1e-3)),
    ("p50 / eager", _ratio),
    ("load ms", _figure(lambda r: r.load_ns, ",.1f", 1e-6)),
    ("memory MB", _figure(lambda r: r.peak_over_runtime_bytes, ",.1f", 1e-6)),
)


def group(rows: tuple[Measurement, ...], margin_points: float) -> tuple[Group, ...]:
    """Return the rows by model, the eager one first."""
    groups = []
    for model in dict.fromkeys(r.artifact.split("-")[0] for r in rows):
        own = tuple(sorted((r for r in rows if r.artifact.split("-")[0] == model), key=lambda r: not is_eager(r)))
        groups.append(Group(model=model, rows=own, picks=picks(own, margin_points)))
    return tuple(groups)


def show(groups: tuple[Group, ...], margin_points: float, console: Console) -> None:
    """Print the tables, the picks and what they stand on."""
    for g in groups:
        table = Table(title=f"{g.model}: {_dataset(g.rows)}", title_justify="left")
        table.add_column("artifact", no_wrap=True)
        table.add_column("runtime", no_wrap=True)
        for title, _ in COLUMNS:
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("outcome")
        for row in g.rows:
            figures = (cell(row, g.eager) for _, cell in COLUMNS)
            outcome = f"[{COLOURS.get(row.outcome, 'red')}]{escape(_short(row))}[/]"
            table.add_row(_name(row), row.runtime, *figures, outcome)
        console.print(table)
        for line in _advice(g, margin_points):
            console.print(escape(line), soft_wrap=True)
        console.print()
    for line in footnotes(groups):
        console.print(f"[bold yellow]{escape(line)}[/]" if "NOT MNIST" in line else escape(line), soft_wrap=True)


def write(groups: tuple[Group, ...], margin_points: float, folder: Path, svg: Path | None) -> tuple[Path, ...]:
    """Write report.md and report.json into the folder, the picture where it is asked for; return the paths."""
    markdown, data = folder / "report.md", folder / "report.json"
    files.write_bytes(markdown, _markdown(groups, margin_points).encode())
    files.write_json(data, [_json(g, margin_points) for g in groups])
    if svg is None:
        return markdown, data
    recorder = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    show(groups, margin_points, recorder)
    files.write_bytes(svg, recorder.export_svg(title="edgewise report").encode())
    return markdown, data, svg


def _name(row: Measurement) -> str:
    return row.artifact.split("-", 1)[1]


def _says(row: Measurement) -> str:
    return "; ".join([f"{row.outcome}: {row.reason}" if row.reason else row.outcome, *row.notes])


def _short(row: Measurement) -> str:
    says = f"{row.outcome}: {row.reason}" if row.reason else row.outcome
    return (says if len(says) <= SHORT else says[: SHORT - 1] + "…") + (" *" if row.notes else "")


def _dataset(rows: tuple[Measurement, ...]) -> str:
    names = sorted({r.dataset["name"] for r in rows if r.dataset})
    return " and ".join("MNIST test images" if n == "mnist" else f"{n}, NOT MNIST" for n in names) or "no results yet"


def _advice(g: Group, margin_points: float) -> list[str]:
    if not g.picks:
        return [f"Nothing that ran stays within {margin_points:g} points of the float source's top-1."]
    rule = f"Which one to ship, of those that lose at most {margin_points:g} points of top-1:"
    return [rule, *(f"- {p.title}: {p.id} ({p.says})" for p in g.picks)]


def footnotes(groups: tuple[Group, ...]) -> list[str]:
    """Return what a reader of the figures must know: data, sizes of samples, gaps, hardware."""
    rows = [r for g in groups for r in g.rows]
    ran = [r for r in rows if r.environment]
    lines = []
    if any(r.dataset.get("name") == "digits" for r in rows):
        lines.append("Judged on scikit-learn's digits, NOT MNIST: these figures say nothing about MNIST.")
    quick = sum(r.quick for r in ran)
    if quick:
        lines.append(f"{quick} of {len(ran)} results are quick ones, on fewer images: see n.")
    noted = sum(bool(r.notes) for r in ran)
    if noted:
        lines.append(f"{noted} rows have a note (* in the terminal), such as fewer samples or a busy machine.")
    missing = sum(r.outcome == "skipped" for r in rows)
    if missing:
        lines.append(f"{missing} of {len(rows)} cells have no result that counts (not exported, not run, or stale).")
    lines += sorted({_hardware(r) for r in ran})
    lines.append("Batch 1. Memory is the peak of resident memory over that of the runtime with the reference images. "
                 "Times of one machine: trust ratios, not microseconds.")  # fmt: skip
    return lines


def _hardware(row: Measurement) -> str:
    e = row.environment
    machine = f"{row.device}: {e['cpu']}, {e['cpus']} CPUs, {e['os']}, Python {e['python']}"
    return f"{machine}, {row.threads} thread per inference."


def _markdown(groups: tuple[Group, ...], margin_points: float) -> str:
    lines = ["# Every artifact on every runtime", ""]
    titles = ["artifact", "runtime", *(title for title, _ in COLUMNS), "outcome"]
    for g in groups:
        lines += [f"## {g.model}: {_dataset(g.rows)}", "", _line(titles)]
        lines.append(_line(["---", "---", *("--:" for _ in COLUMNS), "---"]))
        lines += [_line([_name(r), r.runtime, *(cell(r, g.eager) for _, cell in COLUMNS), _says(r)]) for r in g.rows]
        lines += ["", *_advice(g, margin_points), ""]
    return "\n".join([*lines, *(f"- {line}" for line in footnotes(groups)), ""])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(c.replace('|', chr(92) + '|').replace(chr(10), ' ') for c in cells)} |"


def _json(g: Group, margin_points: float) -> dict[str, Any]:
    rows = []
    for row in g.rows:
        raw = {name: value for name, value in asdict(row).items() if name not in ("latencies_ns", "log", "flips")}
        rows.append({"id": row.id, **raw, **{name: getattr(row, name) for name in STATISTICS},
                     "latency_samples": len(row.latencies_ns)})  # fmt: skip
    return {"model": g.model, "margin_points": margin_points, "picks": [asdict(p) for p in g.picks], "rows": rows}
