"""Which artifact to ship: the smallest, the fastest and the most faithful of those that lose almost no accuracy."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from device_tests.cells import EAGER
from device_tests.onboard.runtimes import RUNTIMES, is_timed
from device_tests.results import shipping as footprints
from device_tests.results.row import Row

ARENA_BYTES = 64 * 1024  # the SRAM of a small microcontroller
APPLE = ("coreml", "mil_evaluator")
TIE = 1.1  # medians whose ratio is less than this are called equal


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One recommendation; `message` holds the figures that it rests on."""

    title: str
    id: str
    message: str


def picks(rows: tuple[Row, ...], margin_points: float, weights: footprints.Weights) -> tuple[Pick, ...]:
    """Return the picks for one model's rows of one place; none where no row stays within the margin.

    A row qualifies where its top-1, on the same images, is at most `margin_points` percentage points below the float
    source's, and its runtime can ship: desktop frameworks are compared with, never recommended. Of equals the one with
    the lighter runtime is picked. Without times there is no fastest row, and without weighed runtimes none that is the
    smallest with its runtime.
    """
    within = fit(rows, margin_points)
    good = [row for row in within if can_ship(row)]
    others = (*_for_ios(within), *_for_a_microcontroller(within))
    if not good:
        return others

    def lighter(row: Row) -> tuple[float, ...]:
        return runtime_bytes(row, weights), row.size_bytes, row.p50_ns or 0

    most = max(r.total for r in good)
    smallest = min(good, key=lambda r: (r.size_bytes, *lighter(r)))
    faithful = min((r for r in good if r.total == most), key=lambda r: (-r.agree, r.max_abs_error, *lighter(r)))
    equality = f"{faithful.agree:,} of {faithful.total:,} answers equal the float source's"
    return (
        Pick(title="smallest", id=smallest.id, message=f"{smallest.size_bytes:,} bytes; {_loss(smallest)}"),
        *_smallest_to_ship(good, weights),
        *_fastest([r for r in good if r.p50_ns is not None], lighter),
        Pick(title="most faithful", id=faithful.id, message=f"{equality}, logit error {faithful.max_abs_error:.2g}"),
        *others,
    )


def fit(rows: Iterable[Row], margin_points: float) -> list[Row]:
    """Return the rows that lose no more top-1 than the margin."""
    return [r for r in rows if r.outcome == "ok" and not is_eager(r) and r.top1_loss * 100 <= margin_points]


def can_ship(row: Row) -> bool:
    """Tell whether an app can ship a row: not PyTorch or TensorFlow themselves, and no batch of several images.

    Runtimes that stand for a device cannot ship either; their rows have picks of their own.
    """
    if row.batch not in (1, -1):
        return False
    return row.runtime not in RUNTIMES.names() or (not RUNTIMES[row.runtime].eager and is_timed(row.runtime))


def runtime_bytes(row: Row, weights: footprints.Weights) -> float:
    """Return the compressed bytes of a row's runtime; infinity where it was not weighed."""
    return weights[row.runtime].compressed_bytes if row.runtime in weights else math.inf


def _smallest_to_ship(good: list[Row], weights: footprints.Weights) -> Iterator[Pick]:
    totals = [(total, row) for row in good if (total := footprints.total_bytes(row, weights))]
    if totals:
        total, row = min(totals, key=lambda t: (t[0], t[1].p50_ns or 0))
        both = f"{total / 1e6:,.2f} MB compressed with the libraries of {row.runtime}"
        yield Pick(title="smallest to ship", id=row.id,
                   message=f"{both}; the model is {row.compressed_bytes / total:.1%} of that; {_loss(row)}")  # fmt: skip


def _fastest(timed: list[Row], lighter: Callable[[Row], tuple[float, ...]]) -> Iterator[Pick]:
    """Yield the fastest row; of those with equal medians, the one with the lighter runtime."""
    if timed:
        least = min(row.p50_ns for row in timed)
        equal = sorted((row for row in timed if row.p50_ns <= least * TIE), key=lighter)
        picked, *others = equal
        names = ", ".join(row.id for row in others)
        tie = f"; equal within {TIE - 1:.0%}, but not lighter: {names}" if others else ""
        median = f"{picked.p50_ns / 1e3:,.0f} µs median of {len(picked.latencies_ns):,}"
        yield Pick(title="fastest on this CPU", id=picked.id, message=f"{median}; {_loss(picked)}{tie}")


def _for_ios(within: list[Row]) -> Iterator[Pick]:
    """Yield the smallest row that needs no library: Core ML is part of the system."""
    rows = [row for row in within if row.runtime in APPLE]
    if rows:
        row = min(rows, key=lambda r: (r.compressed_bytes, r.max_abs_error))
        judged = "" if row.runtime == "coreml" else "; judged by the arithmetic of the file, not Apple's runtime"
        size = f"{row.compressed_bytes / 1e6:,.3g} MB compressed, and no library, for the system has it"
        yield Pick(title="smallest for iOS", id=row.id, message=f"{size}; {_loss(row)}{judged}")


def _for_a_microcontroller(within: list[Row]) -> Iterator[Pick]:
    """Yield the row with the smallest arena, and whether it fits."""
    rows = [row for row in within if row.arena_bytes is not None]
    if rows:
        row = min(rows, key=lambda r: (r.arena_bytes, r.size_bytes))
        fits = row.arena_bytes <= ARENA_BYTES
        title = "fits a microcontroller of 64 kB" if fits else "fits no microcontroller of 64 kB"
        arena = f"{row.arena_bytes / 1e3:,.1f} kB of arena, and {row.size_bytes / 1e3:,.1f} kB of flash for the model"
        message = f"{arena}; the app's own memory comes on top; {_loss(row)}"
        yield Pick(title=title, id=row.id, message=message if fits else f"the smallest arena: {message}")


def is_eager(row: Row) -> bool:
    """Tell whether a row is the bare network, with which the others are compared."""
    return row.recipe.format == EAGER


def _loss(row: Row) -> str:
    points, most = 0.0 - row.top1_loss * 100, row.top1_loss_bound * 100
    difference = f"top-1 {points:+.2f} points against the float source, paired on {row.total:,} images"
    bound = f"loses less than {most:.2f}" if most > 0 else f"gains more than {-most:.2f}"
    return f"{difference}: with 95 % certainty it {bound}"
