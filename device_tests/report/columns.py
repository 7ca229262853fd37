"""The columns of a report's table: which there are, and the text of each cell."""

from collections.abc import Callable, Iterable

from device_tests.onboard.runtimes import is_timed
from device_tests.report.groups import Group
from device_tests.results.latency import NO_DIFFERENCE, TOO_NOISY, Interval
from device_tests.results.row import Row

VERDICTS = {NO_DIFFERENCE: "equal", TOO_NOISY: "too noisy"}  # short for a column
EMULATED = "emulated"  # instead of a time
NOT_TIMED = "not timed"  # the same for a runtime that stands for another device

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
        return ""  # the interleaved run is more exact
    return f"{row.p50_ns / eager.p50_ns:.2f}" if eager and row.p50_ns else ""


def interleaved(row: Row, eager: Row | None = None) -> str:
    """Return the latency relative to float32 of an interleaved run, "" where there was none."""
    if row.latency_ratio is None:
        return ""
    ratio = Interval(value=row.latency_ratio, low=row.latency_ratio_low, high=row.latency_ratio_high)
    verdict = VERDICTS.get(ratio.verdict, ratio.verdict)
    return verdict if ratio.verdict == TOO_NOISY else f"{ratio.value:.2f} {verdict}"


def _as_desktop(row: Row, eager: Row | None) -> str:
    if row.compared is None:
        return ""
    return f"all {row.same:,}" if row.same == row.compared else f"{row.same:,} of {row.compared:,}"


def rewrites(row: Row, eager: Row | None = None) -> str:
    """Return what is left of instructions, or else of the latency, with the rewrites of a row's file; "" without any."""
    if not row.rewrites:
        return ""
    if row.rewrites_instructions is not None:
        return f"{row.rewrites_instructions:.2f} instr."
    return "not measured" if row.rewrites_latency is None else f"{row.rewrites_latency:.2f} time"


ACCURACY: tuple[tuple[str, Cell], ...] = (
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
    ("rewrites", rewrites),
    ("NPU %", _figure(lambda r: r.npu_share, ".0f", 100)),
)


def all_columns(rows: Iterable[Row]) -> tuple[tuple[str, Cell], ...]:
    """Return the columns that rows may have; top-5 and other evaluation sets only where some row has them."""
    rows = tuple(rows)
    top5 = (TOP5,) if any(row.top5 is not None for row in rows) else ()
    sets = (
        (f"{name} %", _figure(lambda r, name=name: r.sets[name].top1 if name in r.sets else None, ".1f", 100))
        for name in set_names(rows)
    )
    return (*ACCURACY, *top5, *sets, *OTHERS)


def set_names(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the names of the evaluation sets after the first."""
    return tuple(dict.fromkeys(name for row in rows for name in row.sets))


def columns(g: Group) -> tuple[tuple[str, Cell], ...]:
    """Return the columns in which some row of a group has text."""
    return tuple(column for column in all_columns(g.rows) if any(column[1](row, g.eager) for row in g.rows))
