"""The table that `latency` prints: per artifact its quantiles, its ratio to float32, and notes on both."""

from rich.table import Column, Table

from device_tests.results.latency import NARROW, TOO_NOISY, Interval, Series
from models.common.console import out, plain

UNSETTLED = "its warm-up did not settle"
COLOURS = {"slower": "red", "faster": "green", "no difference": "cyan", "too noisy to say": "yellow"}


def show(title: str, rows: list[dict], every: list[Series]) -> None:
    """Print the summary's rows, each with its series."""
    names = ("p50 µs", "p90 µs", "p99 µs", "against float32", "of peak")
    figures = (Column(name, justify="right", no_wrap=True) for name in names)
    table = Table(Column("artifact", no_wrap=True), *figures, "says", "rounds", "samples", title=title)
    for row, series in zip(rows, every, strict=True):
        table.add_row(*_columns(row, series))
    out.print(table)


def _columns(row: dict, series: Series) -> tuple[str, ...]:
    """Return the columns of a series: its figures, the verdict of its interval, and its notes."""
    if "rounds" not in row:
        colour = "red" if row["outcome"] == "mismatch" else "yellow"
        return (plain(row["id"]), *[""] * 5, f"[{colour}]{row['outcome']}[/] {plain(row['reason'])}", "", "")
    columns = ("p50_ns", "p90_ns", "p99_ns", "ratio")
    p50, p90, p99, ratio = (Interval(**row[name]) if row[name] else None for name in columns)
    verdict = row["verdict"]
    if p50 is None or p50.width > NARROW:
        verdict = f"{verdict}, p50 {TOO_NOISY}" if verdict and verdict != TOO_NOISY else TOO_NOISY
    against = f"{ratio.value:.3f} ({ratio.low:.3f}..{ratio.high:.3f})" if ratio else ""
    notes = (*(() if series.steady else (UNSETTLED,)), *series.notes)
    verdict = "; ".join((*([f"[{COLOURS.get(verdict, 'yellow')}]{verdict}[/]"] if verdict else []), *map(plain, notes)))
    peak = f"{row['roof_share']:.1%} {row['roof']}" if row["roof_share"] else ""
    counts = (f"{row['rounds']:,}", f"{row['samples']:,}")
    return (plain(row["id"]), *map(_us, (p50, p90, p99)), against, peak, verdict, *counts)


def _us(interval: Interval | None) -> str:
    """Return a time in µs with half the width of its interval; the file has both bounds."""
    return f"{interval.value / 1e3:,.1f} ± {interval.width / 2:.1%}" if interval else ""
