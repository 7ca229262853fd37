"""The report: one table per model against its eager row, in the terminal, as Markdown, JSON and SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from device_tests.onboard.runtimes import is_timed
from device_tests.onboard.sampling import LOOK_QUICK
from device_tests.report import places
from device_tests.report.cores import Sweep, sweeps
from device_tests.report.groups import Group
from device_tests.results.latency import EQUAL, NO_DIFFERENCE, TOO_NOISY, Interval
from device_tests.results.row import Row
from models import files, markdown
from models.console import WIDTH, plain
from models.markdown import LIMIT_BYTES

NOT_IN_TERMINAL = (
    "p90 µs",
    "of limit %",
    "of peak %",
    "deleg. %",
    "load ms",
    "batch",
    "weights %",
    "MACs %",
    "options",
    "NPU %",
)  # which is WIDTH wide
WHOLE = 20_000  # characters of a reason in Markdown: all of them, within reason
SHORT = 160  # of a reason in the terminal; Markdown and JSON hold it whole
SETS = {"digits": "scikit-learn's digits, which are unlike the training images"}
DATASETS = {"mnist": "MNIST test images", "digits": "digits, NOT MNIST"}  # others go by their own names
VERDICTS = {NO_DIFFERENCE: "equal", TOO_NOISY: "too noisy"}  # which are long for a column
SWEEP = "instructions per inference on emulated devices, and whether the logits are the desktop's to the last bit"
EMULATED = "emulated"  # instead of a time
NOT_TIMED = "not timed"  # the same of a runtime that stands for another device (runner.py)
STATISTICS = ("top1", "top1_interval", "agreement", "flip_rate", "top1_loss", "top1_loss_bound", "mcnemar_p", "top5", "source_top5",
              "recall_loss", "p50_ns", "p90_ns", "peak_over_runtime_bytes")  # fmt: skip
COLOURS = {"ok": "green", "unsupported": "yellow", "skipped": "dim"}

Cell = Callable[[Row, Row | None], str]


def _figure(value: Callable[[Row], float | None], form: str, scale: float = 1) -> Cell:
    def text(row: Row, eager: Row | None) -> str:
        number = value(row)
        return "" if number is None else format(number * scale, form)

    return text


def _p50(row: Row, eager: Row | None) -> str:
    if row.p50_ns is None:
        return "" if row.outcome != "ok" else EMULATED if is_timed(row.runtime) else NOT_TIMED
    return f"{row.p50_ns / 1e3:,.0f}"


def _ratio(row: Row, eager: Row | None) -> str:
    if row.latency_ratio is not None:
        return ""  # the interleaved run knows better
    return f"{row.p50_ns / eager.p50_ns:.2f}" if eager and row.p50_ns else ""


def interleaved(row: Row, eager: Row | None = None) -> str:
    """Return what an interleaved run says of a row's latency relative to float32, "" where there was none."""
    if row.latency_ratio is None:
        return ""
    found = Interval(value=row.latency_ratio, low=row.latency_ratio_low, high=row.latency_ratio_high)
    says = VERDICTS.get(found.verdict, found.verdict)
    return says if found.verdict == TOO_NOISY else f"{found.value:.2f} {says}"


def _as_desktop(row: Row, eager: Row | None) -> str:
    if row.compared is None:
        return ""
    return f"all {row.same:,}" if row.same == row.compared else f"{row.same:,} of {row.compared:,}"


ANSWERS: tuple[tuple[str, Cell], ...] = (
    ("KB", _figure(lambda r: r.size_bytes, ",.1f", 1e-3)),
    ("top-1 %", _figure(lambda r: r.top1, ".2f", 100)),
    ("n", _figure(lambda r: r.total, ",")),
    ("agree %", _figure(lambda r: r.agreement, ".2f", 100)),
)
TOP5 = ("top-5 %", _figure(lambda r: r.top5, ".2f", 100))  # where there are more than ten classes
OTHERS: tuple[tuple[str, Cell], ...] = (
    ("max error", _figure(lambda r: r.max_abs_error, ".2g")),
    ("as desktop", _as_desktop),
    ("p50 µs", _p50),
    ("p90 µs", _figure(lambda r: r.p90_ns, ",.0f", 1e-3)),
    ("/ eager", _ratio),
    ("/ float32", interleaved),
    ("M instr.", _figure(lambda r: r.instructions, ",.2f", 1e-6)),
    ("of limit %", _figure(lambda r: r.bound_share, ".1f", 100)),
    ("of peak %", _figure(lambda r: r.roof_share, ".1f", 100)),
    ("deleg. %", _figure(lambda r: r.delegated_share, ".0f", 100)),
    ("load ms", _figure(lambda r: r.load_ns, ",.1f", 1e-6)),
    ("memory MB", _figure(lambda r: r.peak_over_runtime_bytes, ",.1f", 1e-6)),
    ("weights %", _figure(lambda r: r.covered_share, ".1f", 100)),
    ("MACs %", _figure(lambda r: r.covered_macs, ".1f", 100)),
    ("batch", lambda row, _: "" if row.outcome != "ok" else "any" if row.batch == -1 else str(row.batch)),
    ("options", lambda row, _: row.options),
    ("arena KB", _figure(lambda r: r.arena_bytes, ",.1f", 1e-3)),
    ("NPU %", _figure(lambda r: r.npu_share, ".0f", 100)),
)


def all_columns(rows: Iterable[Row]) -> tuple[tuple[str, Cell], ...]:
    """Return the columns that rows may have: those of top-5 and of other evaluation sets where some row has them."""
    rows = tuple(rows)
    top5 = (TOP5,) if any(row.top5 is not None for row in rows) else ()
    sets = ((f"{name} %", _figure(partial(_top1_on, name), ".1f", 100)) for name in set_names(rows))
    return (*ANSWERS, *top5, *sets, *OTHERS)


def set_names(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the evaluation sets that rows were judged on beside the first."""
    return tuple(dict.fromkeys(name for row in rows for name in row.sets))


def _top1_on(name: str, row: Row) -> float | None:
    return row.sets[name].top1 if name in row.sets else None


def columns(g: Group) -> tuple[tuple[str, Cell], ...]:
    """Return the columns in which a group has anything to say."""
    return tuple(column for column in all_columns(g.rows) if any(column[1](row, g.eager) for row in g.rows))


def show(groups: tuple[Group, ...], margin_points: float, console: Console) -> None:
    """Print the tables, the picks and what they stand on."""
    for g in (g for g in groups if not g.emulated):
        table = Table(title=plain(_title(g)), title_justify="left")
        table.add_column("artifact", no_wrap=True)
        table.add_column("runtime", no_wrap=True)
        drawn = [(title, cell) for title, cell in columns(g) if title not in NOT_IN_TERMINAL]
        for title, _ in drawn:
            table.add_column(plain(title), justify="right", no_wrap=True)
        table.add_column("outcome", no_wrap=True)
        for row in g.rows:
            figures = (cell(row, g.eager) for _, cell in drawn)
            table.add_row(
                plain(_name(row)),
                plain(row.runtime),
                *map(plain, figures),
                f"{_coloured(row)}{' *' if row.notes else ''}",
            )
        console.print(table)
        _show_reasons(g, console)
        for line in _advice(g, margin_points):
            console.print(plain(line), soft_wrap=True)
        console.print()
    for sweep in sweeps(groups):
        table = Table(title=plain(f"{sweep.model}: {SWEEP}"), title_justify="left")
        for title in ("artifact", "runtime"):
            table.add_column(title, no_wrap=True)
        for place in sweep.places:
            table.add_column(plain(place), justify="right")
        for artifact, runtime, cells in sweep.lines:
            table.add_row(*map(plain, (artifact, runtime, *cells)))
        console.print(table)
    for g in (g for g in groups if g.emulated):
        _show_reasons(g, console)
    for line in warnings(groups):
        console.print(f"[bold yellow]{plain(line)}[/]", soft_wrap=True)
    for line in footnotes(groups):
        console.print(plain(line), soft_wrap=True)


def _show_reasons(g: Group, console: Console) -> None:
    """Print why cells failed; of those that have no result the footnotes speak."""
    for row in g.rows:
        if row.reason and row.outcome != "skipped":
            says = plain(f"{row.artifact} on {row.runtime}, {g.place}: {_short(row.reason)}")
            console.print(f"{_coloured(row)} {says}", soft_wrap=True)


def write(groups: tuple[Group, ...], margin_points: float, folder: Path, svg: Path | None) -> tuple[Path, ...]:
    """Write report.md and report.json into the folder, the picture where it is asked for; return the paths."""
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


def _says(row: Row) -> str:
    return "; ".join([f"{row.outcome}: {row.reason}" if row.reason else row.outcome, *row.notes])


def _coloured(row: Row) -> str:
    return f"[{COLOURS.get(row.outcome, 'red')}]{row.outcome}[/]"


def _short(reason: str) -> str:
    return reason if len(reason) <= SHORT else reason[: SHORT - 1] + "…"


def _title(g: Group) -> str:
    return f"{g.model} on {g.place}: {_dataset(g.rows)}"


def _dataset(rows: tuple[Row, ...]) -> str:
    names = sorted({r.dataset.name for r in rows if r.dataset.name})
    return " and ".join(DATASETS.get(name, name) for name in names) or "no results yet"


def _advice(g: Group, margin_points: float) -> list[str]:
    if not g.picks:
        return [f"Nothing that can ship stays within {margin_points:g} points of the float source's top-1."]
    rule = (
        f"Which one to ship, of those that lose at most {margin_points:g} points of top-1 (PyTorch and TensorFlow "
        "themselves are compared with, never recommended; of equals the lighter runtime is taken):"
    )
    return [rule, *(f"- {p.title}: {p.id} ({p.says})" for p in g.picks)]


def warnings(groups: tuple[Group, ...]) -> list[str]:
    """Return what makes figures worthless to someone who overlooks it."""
    rows = [r for g in groups for r in g.rows]
    lines = places.warnings(places.machines(rows))
    if any(r.dataset.name == "digits" for r in rows):
        lines.append("Judged on scikit-learn's digits, NOT MNIST: these figures say nothing about MNIST.")
    return lines


def quick(groups: tuple[Group, ...]) -> int:
    """Return how many results are of fewer images than there are, for a run was quick; emulated devices' always are."""
    rows = (r for g in groups if not g.emulated for r in g.rows if r.environment)
    return sum(_on_fewer(r) and is_timed(r.runtime) for r in rows)


def _on_fewer(row: Row) -> bool:
    """Tell whether a quick run left out images; a set of fewer is judged whole."""
    return row.quick and (row.total or 0) >= LOOK_QUICK


def footnotes(groups: tuple[Group, ...]) -> list[str]:
    """Return what a reader of the figures must know: sizes of samples, gaps, hardware."""
    rows = [r for g in groups for r in g.rows]
    ran = [r for r in rows if r.environment]
    lines = []
    few = quick(groups)
    if few:
        lines.append(f"{few} of {len(ran)} results are quick ones, on fewer images: see n.")
    if any(_on_fewer(r) for g in groups if g.emulated for r in g.rows):
        lines.append("Emulated devices judge on the first 1,000 images, with --full on all: see n.")
    lines += places.stand_ins(ran)
    noted = sum(bool(r.notes) for r in ran)
    if noted:
        lines.append(f"{noted} rows have a note (* in the terminal), such as fewer samples or a busy machine.")
    missing = sum(r.outcome == "skipped" for r in rows)
    if missing:
        lines.append(
            f"{missing} of {len(rows)} cells have no result that counts (not exported, not run, or stale): the page says which."
        )
    lines += sorted({_hardware(r) for r in ran})
    if any(r.latency_ratio is not None for r in rows):
        lines.append("/ float32 is the latency against the float32 row of the same runtime, interleaved in one run: equal within "
                     f"{EQUAL:.0%}, too noisy to say where its interval reaches over that border. / eager, of runs apart, stands only "
                     "where there is no such run.")  # fmt: skip
    if any(r.compared for r in rows):
        lines.append(
            "As desktop: on how many images the logits are the desktop's on the same runtime, to the last bit."
        )
    for name in set_names(rows):
        lines.append(f"{name} %: top-1 on {SETS.get(name, 'the evaluation set of that name')}.")
    if models := sorted({r.artifact.split("-")[0] for r in rows if r.probabilities}):
        lines.append(
            f"The outputs of {', '.join(models)} are probabilities already: the calibration error takes them as they are."
        )
    for place in sorted({(r.device, r.bound) for r in rows if r.bound_share is not None}):
        lines.append(f"of limit %, {place[0]}: the fewest instructions that the multiply-accumulates can take, {place[1]}, "
                     "as a share of those that were executed.")  # fmt: skip
    if any(r.roof_share is not None for r in rows):
        lines.append("of peak %: of the multiply-accumulates that one core of this machine was seen to do in a second.")
    if any(r.covered_share is not None for r in rows):
        lines.append(
            "weights % and MACs %: the share that is stored in the scheme's own dtype, and computed with that."
        )
    larger = (
        "; those of an artifact for a larger batch are of the whole batch" if any(r.batch > 1 for r in rows) else ""
    )
    lines.append(f"Times and instructions are of one image{larger}. Memory is the peak of resident memory over that of the runtime "
                 "with the reference images. Times of one machine: trust ratios, not microseconds.")  # fmt: skip
    return lines


def _hardware(row: Row) -> str:
    threads = f", {row.threads} thread per inference" if row.threads else ""
    return f"{row.device}: {places.machine(row.environment)}{threads}."


def _markdown(groups: tuple[Group, ...], margin_points: float) -> str:
    """Return the tables as far as they fit into a comment on GitHub; what does not is named."""
    lines = ["# Every artifact on every runtime", "", *(f"**{_md(line)}**\n" for line in warnings(groups))]
    end = [*map(_sweep_section, sweeps(groups)), *(f"- {_md(line)}" for line in footnotes(groups)), ""]
    groups = tuple(g for g in groups if not g.emulated)
    left_out = {id(g): f"{_md(_title(g))}: {len(g.rows)} rows do not fit here; report.json has them.\n" for g in groups}
    room = LIMIT_BYTES - len("\n".join([*lines, *left_out.values(), *end]).encode())
    for g in groups:
        section = "\n".join(_section(g, margin_points))
        fits = len(section.encode()) <= room
        room -= len(section.encode()) if fits else 0
        lines.append(section if fits else left_out[id(g)])
    return "\n".join([*lines, *end])


def _sweep_section(sweep: Sweep) -> str:
    head = [f"## {_md(sweep.model)}: {SWEEP}", "", _line(["artifact", "runtime", *sweep.places])]
    rule = f"| --- | --- |{' --: |' * len(sweep.places)}"
    return "\n".join(
        [*head, rule, *(_line([artifact, runtime, *cells]) for artifact, runtime, cells in sweep.lines), ""]
    )


def _section(g: Group, margin_points: float) -> list[str]:
    titles = ["artifact", "runtime", *(title for title, _ in columns(g)), "outcome"]
    rule = f"| --- | --- |{' --: |' * len(columns(g))} --- |"
    return [
        *(f"## {_md(_title(g))}", "", _line(titles), rule),
        *(_line([_name(r), r.runtime, *(cell(r, g.eager) for _, cell in columns(g)), _says(r)]) for r in g.rows),
        *(
            "",
            *(
                f"- {_md(line.removeprefix('- '))}" if line.startswith("- ") else _md(line)
                for line in _advice(g, margin_points)
            ),
            "",
        ),
    ]


def _md(text: str) -> str:
    return markdown.plain(text, WHOLE)


def _line(cells: list[str]) -> str:
    return markdown.row(cells, WHOLE)


def _json(g: Group, margin_points: float) -> dict[str, Any]:
    rows = []
    for row in g.rows:
        raw = {
            name: value
            for name, value in msgspec.to_builtins(row).items()
            if name not in ("latencies_ns", "log", "flips")
        }
        rows.append({"id": row.id, **raw, **{name: getattr(row, name) for name in STATISTICS},
                     "latency_samples": len(row.latencies_ns)})  # fmt: skip
    return {
        "model": g.model,
        "place": g.place,
        "margin_points": margin_points,
        "picks": [asdict(p) for p in g.picks],
        "rows": rows,
    }
