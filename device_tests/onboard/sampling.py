"""How often an inference is timed, and on how many images it is judged; stands alone, for it is copied to devices.

Both end early where more samples or images would change nothing; docs/measuring.md has the rules and their errors.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

SAMPLES = 1_024  # latency samples at most
LEAST, LEAST_NS = 100, 100e6  # samples, and their total duration, before the interval is first checked
LOOK_EVERY = 50  # samples between two checks
PARTS = 5  # fifths in the order of time, whose medians must be as close
NARROW = 0.02  # width of the median's 95 % interval, as a share of the median: within 1 % on each side
WARM_UP, WARM_UP_S = 64, 1.0  # inferences before the samples, whichever ends first; at least WARM_UP_LEAST
WARM_UP_LEAST = 3
BUSY = 1.25  # above this CPU time per wall time more than one thread was at work
STARVED = 0.9  # below it other programs took the core away
SLOW_NS = 1_000_000  # an inference that takes longer is judged on as many images as its agreement needs
# images before the first check, in a whole run and with few images; each next check is at twice as many
LOOK, LOOK_QUICK = 1_000, 500
FEW, FEW_SLOW = 200, 100  # images of each other evaluation set, in a quick run; if the inference is slow as well


@dataclasses.dataclass
class Samples:
    """Latencies of single inferences in nanoseconds, CPU time per wall time meanwhile, and notes."""

    ns: list = dataclasses.field(default_factory=list)
    cpu_per_wall: float = 0.0
    notes: list = dataclasses.field(default_factory=list)


def take(infer, images: list, *, limit_s: float, threads: int, alive=lambda: None) -> Samples:
    """Sample latencies of a warm runtime until their median is known narrowly; `alive` is called before each sample."""
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
            # disturbances by other programs come and go: then all samples are taken
            if busy >= STARVED and is_narrow(samples.ns):
                break
    busy = (time.process_time_ns() - cpu) / (time.perf_counter_ns() - wall)
    samples.cpu_per_wall = round(busy, 3)
    if busy > BUSY * threads:
        samples.notes.append(f"more than {threads} thread was at work: {busy:.2f} s of CPU per second")
    if busy < STARVED:
        samples.notes.append(f"timed on a busy machine: it had {busy:.0%} of a core")
    return samples


def shortest(infer, images: list) -> int:
    """Return the shortest of a few inferences in nanoseconds, to recognise a slow one where no times are taken."""
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
    """Tell whether the median of enough samples has a narrow interval and did not drift.

    The interval assumes independent samples, but neighbours are disturbed alike; the medians of the fifths show that.
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
    """Return the numbers of images after which the worker asks to stop; the last is `requested`, or all for 0."""
    most = min(available, requested or available)
    look, every = LOOK_QUICK if requested else LOOK, []
    while slow and look < most:
        every.append(look)
        look *= 2
    return [*every, most]


def of_other_set(judged: int, requested: int, *, slow: bool) -> int:
    """Return the largest number of images of another evaluation set to judge on."""
    if requested and slow:
        return FEW_SLOW
    return FEW if requested or slow else judged
