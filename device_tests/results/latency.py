"""Interleaved latency: raw samples in rounds; every statistic is a property or a function over them."""

from typing import Any

import numpy as np

from models.common.records import Record, Sha256

CONFIDENCE = 0.95
RESAMPLES = 2_000  # of the bootstrap
NARROW = 0.02  # widest interval from which anything is concluded, as a share of its median
EQUAL = 0.03  # artifacts whose ratio lies within 1 +- this do not differ
TAIL = 10  # samples that must lie beyond a quantile

# The verdicts on a ratio.
SLOWER, FASTER, NO_DIFFERENCE, TOO_NOISY = "slower", "faster", "no difference", "too noisy to say"


class Interval(Record, kw_only=True):
    """An estimate with the bounds of its 95 % bootstrap interval, all in one unit."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """The interval's width as a share of the value."""
        return (self.high - self.low) / self.value

    @property
    def verdict(self) -> str:
        """What the interval of a ratio shows: it must lie on one side of a border, or it is too noisy."""
        if self.low > 1 + EQUAL:
            return SLOWER
        if self.high < 1 - EQUAL:
            return FASTER
        if self.low >= 1 - EQUAL and self.high <= 1 + EQUAL:
            return NO_DIFFERENCE
        return TOO_NOISY


class Series(Record, kw_only=True):
    """One artifact's samples: `rounds_ns` holds, per round, the duration of each sample of `inferences` inferences.

    `baseline` is the id of the float32 row that it is compared with, "" where there is none. `steady` tells whether the
    warm-up settled. `timer_ns` is the duration of an empty sample. `roof` is the dtype of the peak that its `macs` are
    held against. Where `outcome` is not ok, `reason` says why.
    """

    id: str
    outcome: str = "ok"
    reason: str = ""
    baseline: str = ""
    inferences: int = 1
    steady: bool = True
    timer_ns: float = 0.0
    rounds_ns: tuple[tuple[int, ...], ...] = ()
    environment: dict[str, Any] = {}
    artifact_sha256: Sha256 = ""
    macs: int = 0
    roof: str = ""
    threads: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def per_inference_ns(self) -> np.ndarray:
        """Samples without the timer's own share, in ns per inference, [rounds, samples]."""
        return (np.array(self.rounds_ns, float) - self.timer_ns) / self.inferences

    @property
    def medians_ns(self) -> np.ndarray:
        """The median of each round, in ns per inference, [rounds]."""
        return np.median(self.per_inference_ns, axis=1)

    @property
    def timer_share(self) -> float:
        """The timer's share of a sample."""
        return self.timer_ns / float(np.median(self.rounds_ns))

    def quantile(self, share: float) -> Interval | None:
        """Return a quantile over all samples, in ns; None where too few samples lie beyond it.

        Samples of one round are disturbed alike, so the bootstrap draws whole rounds.
        """
        samples = self.per_inference_ns
        if samples.size * min(share, 1 - share) < TAIL:
            return None
        return bootstrap(
            len(samples), lambda drawn: np.quantile(samples[drawn].reshape(*drawn.shape[:-1], -1), share, axis=-1)
        )


def ratio(ours: Series, baseline: Series) -> Interval:
    """Return the duration of `ours` relative to `baseline`, from rounds in which both were measured.

    The ratio is taken within each round, so that a drift, which disturbs both alike, cancels out.
    """
    ratios = ours.medians_ns / baseline.medians_ns
    return bootstrap(len(ratios), lambda drawn: np.median(ratios[drawn], axis=-1))


def bootstrap(rounds: int, statistic) -> Interval:
    """Return a statistic of round numbers, [..., rounds] -> [...], with its percentile bootstrap interval."""
    from scipy import stats

    every = np.arange(rounds)
    value = float(statistic(every))
    if rounds < 2:
        return Interval(value=value, low=-np.inf, high=np.inf)
    drawn = stats.bootstrap(
        (every,),
        lambda drawn, axis: statistic(drawn),
        n_resamples=RESAMPLES,
        batch=100,  # a batch takes rounds x samples x 800 bytes
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),  # the same samples give the same interval
    )
    return Interval(value=value, low=float(drawn.confidence_interval.low), high=float(drawn.confidence_interval.high))


def settled(ours: Series, baseline: Series | None) -> bool:
    """Tell whether median and ratio have narrow intervals, so that more rounds are not needed."""
    if (median := ours.quantile(0.5)) is None or median.width > NARROW:
        return False
    return baseline is None or ratio(ours, baseline).width <= NARROW
