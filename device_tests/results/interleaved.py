"""The results of an interleaved run: quantiles, the ratio to float32, the share of the peak."""

from pathlib import Path

from msgspec import structs

from device_tests.results.latency import NARROW, Interval, Series
from device_tests.results.measurement import Environment, environment
from models.common import files, records
from models.common.errors import DataError
from models.common.records import Count, Magnitude, Positive, Record, Sha256


class Roof(Record, kw_only=True):
    """One core's measured peak; `with_` names the vector instructions that reach it, which AMX and the like are not among."""

    dtype: str
    macs_per_s: Magnitude
    with_: str = ""

    def share(self, macs: int, inference_ns: float) -> float:
        """Return the share of the peak that an inference of so many multiply-accumulates reaches."""
        return macs / (inference_ns * 1e-9) / self.macs_per_s


class Summary(Record, kw_only=True):
    """One artifact's statistics in a run: quantiles in ns and the ratio to the float32 row, each with its interval.

    `roof_share` is the share of one core's peak that the median reaches, `roof` the dtype of that peak. A figure is None
    where there are no rounds, or too few.
    """

    id: str
    outcome: str = "ok"
    reason: str = ""
    p50_ns: Interval | None = None
    p90_ns: Interval | None = None
    p99_ns: Interval | None = None
    ratio: Interval | None = None
    verdict: str = ""
    roof: str = ""
    roof_share: Magnitude | None = None
    rounds: Positive | None = None
    samples: Positive | None = None
    timer_share: Magnitude | None = None


class Run(Record, kw_only=True):
    """The fields of an interleaved run's file that this project reads; `key` is a digest of the run's inputs."""

    seed: Count
    date: str
    roofs: tuple[Roof, ...]
    summary: tuple[Summary, ...]
    series: tuple[Series, ...]
    key: str = ""

    def __post_init__(self) -> None:
        if lost := {row.id for row in self.summary} - {one.id for one in self.series}:
            raise ValueError(f"there are no samples of {min(lost)}")


class Timing(Summary, kw_only=True):
    """A row of `nox -s latency`, with the facts of its run; `roof_macs_per_s` is the peak that `roof_share` is of."""

    artifact_sha256: Sha256
    roof_macs_per_s: float | None
    seed: int
    date: str
    environment: Environment

    @property
    def noisy(self) -> bool:
        """Whether even the median's interval is too wide to state it."""
        return self.p50_ns is None or self.p50_ns.width > NARROW


def load(file: Path) -> Run | None:
    """Return the run that a file holds, None where there is no file; raises DataError where it is broken."""
    return records.read(file, Run, what="interleaved run", remedy="Delete it and run: nox -s latency")


def read(results: Path, name: str) -> tuple[Timing, ...]:
    """Return the rows of the last interleaved run of a RUNTIME@DEVICE; raises DataError where the file is broken."""
    file = results / "latency" / f"{files.stem(name)}.json"
    run = load(file)
    if run is None:
        return ()
    series = {one.id: one for one in run.series}
    peaks = {roof.dtype: roof.macs_per_s for roof in run.roofs}
    try:
        return tuple(_timing(row, series[row.id], peaks, run) for row in run.summary if row.rounds)
    except ValueError as error:
        raise DataError(f"{file} is no interleaved run ({error}). Delete it and run: nox -s latency") from error


def _timing(row: Summary, origin: Series, peaks: dict[str, float], run: Run) -> Timing:
    facts = structs.asdict(row) | {"samples": row.samples or row.rounds, "artifact_sha256": origin.artifact_sha256}
    facts |= {"roof_macs_per_s": peaks.get(row.roof), "seed": run.seed, "date": run.date}
    return Timing(**facts, environment=environment(origin.environment))
