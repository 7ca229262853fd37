"""Which artifact to ship: the smallest, the fastest and the most faithful of those that lose next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

from device_tests.cells import EAGER
from device_tests.measurement import Measurement

TIE = 1.1  # medians of one machine that differ by less are called equal


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One recommendation, with the figures that it rests on."""

    title: str
    id: str
    says: str


def picks(rows: tuple[Measurement, ...], margin_points: float) -> tuple[Pick, ...]:
    """Return the picks for one model's rows; none where nothing stays within the margin.

    A row qualifies where its top-1, on the same images, is at most `margin_points` percentage points below the float
    source's. All of them stand on the same checkpoint and data, which the rows see to.
    """
    fit = [r for r in rows if r.outcome == "ok" and not is_eager(r) and r.top1_loss * 100 <= margin_points]
    if not fit:
        return ()
    most = max(r.total for r in fit)
    smallest = min(fit, key=lambda r: (r.size_bytes, r.p50_ns))
    fastest = min(fit, key=lambda r: r.p50_ns)
    faithful = min((r for r in fit if r.total == most), key=lambda r: (-r.agree, r.max_abs_error, r.size_bytes))
    equal = [r.id for r in fit if r is not fastest and r.p50_ns <= fastest.p50_ns * TIE]
    tie = f"; within {TIE - 1:.0%} of it, so equal: {', '.join(equal)}" if equal else ""
    median = f"{fastest.p50_ns / 1e3:,.0f} µs median of {len(fastest.latencies_ns):,}"
    equality = f"{faithful.agree:,} of {faithful.total:,} answers equal the float source's"
    return (
        Pick(title="smallest", id=smallest.id, says=f"{smallest.size_bytes:,} bytes; {_loss(smallest)}"),
        Pick(title="fastest", id=fastest.id, says=f"{median}; {_loss(fastest)}{tie}"),
        Pick(title="most faithful", id=faithful.id, says=f"{equality}, logit error {faithful.max_abs_error:.2g}"),
    )


def is_eager(row: Measurement) -> bool:
    """Tell whether a row is the bare network, which the others are compared with."""
    return row.artifact.split("-")[1] == EAGER


def _loss(row: Measurement) -> str:
    points, most = 0.0 - row.top1_loss * 100, row.top1_loss_bound * 100
    said = f"top-1 {points:+.2f} points against the float source, paired on {row.total:,} images"
    bound = f"loses less than {most:.2f}" if most > 0 else f"gains more than {-most:.2f}"
    return f"{said}: with 95 % certainty it {bound}"
