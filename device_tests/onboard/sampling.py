"""How often an inference is timed, and on how many images it is judged; stands alone, for it is copied to devices, too.

Both end early where more would say nothing new; docs/measuring.md states the rules and their errors.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

SAMPLES = 1_024  # of the warm latency, at most
LEAST, LEAST_NS = 100, 100e6  # samples, and how long they last together, before the first look at their interval
LOOK_EVERY = 50  # samples between two looks
PARTS = 5  # in the order of time, whose medians must lie as near to each other
NARROW = 0.02  # width of the median's 95 % interval, as a share of the median: within 1 % on each side
WARM_UP, WARM_UP_S = 64, 1.0  # inferences before the samples, whichever ends first; at least WARM_UP_LEAST
WARM_UP_LEAST = 3
BUSY = 1.25  # CPU time per wall time above which more than one thread must have been at work
STARVED = 0.9  # and below which other programs took the core away
SLOW_NS = 1_000_000  # an inference that takes longer is judged on as many images as its agreement needs
LOOK, LOOK_QUICK = 1_000, 500  # images before that is looked at first; the next looks are at twice as many each
FEW, FEW_SLOW = 200, 100  # images of each other evaluation set, where few are asked for; and where it is slow as well


@dataclasses.dataclass
class Samples:
    """Latencies of single inferences in nanoseconds, CPU time per wall time while they were taken, and what was noted."""

    ns: list = dataclasses.field(default_factory=list)
    cpu_per_wall: float = 0.0
    notes: list = dataclasses.field(default_factory=list)


def take(infer, images: list, *, limit_s: float, threads: int, alive=lambda: None) -> Samples:
    """Sample latencies once the runtime is warm, until their median is known narrowly; `alive` is called before each."""
    warm_up(infer, images)
    samples = Samples()
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    end = wall + limit_s * 1e9
    while len(samples.ns) < SAMPLES:
        alive()
        image = images[len(samples.ns) % len(images)]
        began = time.perf_counter_ns()
        infer(image)
        ended = time.perf_counter_ns()
        samples.ns.append(ended - began)
        if ended > end:
            samples.notes.append(f"{len(samples.ns)} latency samples in {limit_s:g} s, not {SAMPLES}")
            break
        if len(samples.ns) % LOOK_EVERY == 0 and ended - wall > LEAST_NS:
            busy = (time.process_time_ns() - cpu) / (time.perf_counter_ns() - wall)
            if busy >= STARVED and is_narrow(samples.ns):  # what takes the core away comes and goes: then all are taken
                break
    busy = (time.process_time_ns() - cpu) / (time.perf_counter_ns() - wall)
    samples.cpu_per_wall = round(busy, 3)
    if busy > BUSY * threads:
        samples.notes.append(f"more than {threads} thread was at work: {busy:.2f} s of CPU per second")
    if busy < STARVED:
        samples.notes.append(f"timed on a busy machine: it had {busy:.0%} of a core")
    return samples


def shortest(infer, images: list) -> int:
    """Return what an inference takes at least, in nanoseconds: enough to tell a slow one where no times are taken."""
    times = []
    for image in images[:WARM_UP_LEAST]:
        began = time.perf_counter_ns()
        infer(image)
        times.append(time.perf_counter_ns() - began)
    return min(times)


def warm_up(infer, images: list) -> None:
    end = time.perf_counter() + WARM_UP_S
    for i in range(WARM_UP):
        if i >= WARM_UP_LEAST and time.perf_counter() > end:
            break
        infer(images[i % len(images)])


def is_narrow(ns: list) -> bool:
    """Tell whether the median of enough samples is known narrowly, and did not drift while they were taken.

    The interval takes samples for independent; neighbours are disturbed alike, which the medians of the fifths show.
    """
    if len(ns) < LEAST:
        return False
    low, high = interval(ns)
    medians = [float(np.median(part)) for part in np.array_split(ns, PARTS)]
    return max(high - low, max(medians) - min(medians)) <= NARROW * float(np.median(ns))


def interval(samples: list) -> tuple[float, float]:
    """Return the median's 95 % interval, whose bounds are two of the sorted samples.

    Their ranks come from the binomial distribution's normal approximation: Hahn and Meeker, Statistical Intervals, 5.2.
    """
    ordered = np.sort(samples)
    rank = max(0, math.floor(len(ordered) / 2 - 0.98 * math.sqrt(len(ordered))) - 1)
    return float(ordered[rank]), float(ordered[-1 - rank])


def looks(available: int, requested: int, *, slow: bool) -> list[int]:
    """Return the numbers of images after which to stop if they are enough; the last is `requested`, or all for 0."""
    most = min(available, requested or available)
    look, every = LOOK_QUICK if requested else LOOK, []
    while slow and look < most:
        every.append(look)
        look *= 2
    return [*every, most]


def of_other_set(judged: int, requested: int, *, slow: bool) -> int:
    """Return on how many images of another evaluation set it is judged, at most."""
    if requested and slow:
        return FEW_SLOW
    return FEW if requested or slow else judged
