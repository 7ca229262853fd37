"""What a cell gave: raw values as the worker wrote them; every statistic is a property."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from models import files
from models.errors import DataError

# In the order in which a table names them. The first four say what the artifact can and cannot do.
OUTCOMES = ("ok", "unsupported", "mismatch", "export_failed", "load_failed", "run_failed", "timed_out", "skipped")

CONFIDENCE = 0.95
LISTS = ("latencies_ns", "flips", "notes", "log")  # of a result, which are tuples here


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One artifact on one runtime on one device.

    Counts are of images, `total` of them; `agree` counts answers equal to the float source's, `lost` those that only
    the source has right and `gained` those that only the artifact has. `baseline_rss_bytes` is resident memory with
    runtime and reference, before the artifact is loaded; `peak_rss_bytes` the highest after it. `key` digests
    everything that the answers depend on. `flips` are the first images that are answered otherwise than by the source
    (worker.judge), `digits` the same counts on other images than MNIST's (models/reference.py). `ece` is the expected calibration error. `instructions` are executed ones per inference on
    `instructions_cpu`, `delegated_share` is of the MACs, and `latency_ratio` is to the float32 row of the same runtime
    in one interleaved run, between `low` and `high` with 95 % certainty; each comes from a run of its own. `same` is on
    how many of `compared` images the logits are the desktop's to the last bit, `difference` how far one lies apart, and
    `first_other` the index of the first image with other logits (parity.py); `oldest_runtime` says which versions of the
    runtime answer as they should (compatibility.py). What a cell did not come to is None.
    """

    artifact: str
    runtime: str
    device: str
    outcome: str
    reason: str = ""
    quick: bool = False
    key: str = ""
    artifact_sha256: str = ""
    checkpoint_sha256: str = ""
    dataset: dict[str, Any] = field(default_factory=dict)
    size_bytes: int | None = None
    compressed_bytes: int | None = None
    total: int | None = None
    correct: int | None = None
    agree: int | None = None
    lost: int | None = None
    gained: int | None = None
    max_abs_error: float | None = None
    ece: float | None = None
    source_ece: float | None = None
    flips: tuple[dict[str, Any], ...] = ()
    digits: dict[str, int] | None = None
    instructions: int | None = None
    instructions_cpu: str = ""
    delegated_share: float | None = None
    latency_ratio: float | None = None
    latency_ratio_low: float | None = None
    latency_ratio_high: float | None = None
    same: int | None = None
    compared: int | None = None
    difference: float | None = None
    first_other: int | None = None
    oldest_runtime: str = ""
    load_ns: int | None = None
    first_ns: int | None = None
    latencies_ns: tuple[int, ...] = ()
    cpu_per_wall: float | None = None
    threads: int | None = None
    peak_rss_bytes: int | None = None
    baseline_rss_bytes: int | None = None
    seconds: float = 0.0
    environment: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.artifact}@{self.runtime}@{self.device}"

    @property
    def top1(self) -> float | None:
        """Share of the images that are answered right."""
        return self.correct / self.total if self.total else None

    @property
    def agreement(self) -> float | None:
        """Share of the images that are answered as the float source answers them."""
        return self.agree / self.total if self.total else None

    @property
    def top1_loss(self) -> float | None:
        """Top-1 of the float source less top-1 of the artifact, on the same images."""
        return (self.lost - self.gained) / self.total if self.total else None

    @property
    def top1_loss_bound(self) -> float | None:
        """What `top1_loss` stays under with 95 % certainty: the bound that shows non-inferiority.

        The adjusted Wald bound for paired shares (Bonett and Price 2012, https://doi.org/10.3102/1076998611411915),
        which stays honest where few images flipped, or none.
        """
        if not self.total:
            return None
        from scipy.stats import norm

        n = self.total + 2
        lost, gained = (self.lost + 1) / n, (self.gained + 1) / n
        error = ((lost + gained - (lost - gained) ** 2) / n) ** 0.5
        return float(lost - gained + norm.ppf(CONFIDENCE) * error)

    @property
    def top1_interval(self) -> tuple[float, float] | None:
        """Wilson's two-sided 95 % interval of `top1`."""
        if not self.total:
            return None
        from scipy.stats import binomtest

        low, high = binomtest(self.correct, self.total).proportion_ci(CONFIDENCE, method="wilson")
        return float(low), float(high)

    @property
    def mcnemar_p(self) -> float | None:
        """How likely chance alone divides the images that only one of the two has right this unevenly: McNemar's exact p."""
        if not self.total:
            return None
        from scipy.stats import binomtest

        differ = self.lost + self.gained
        return float(binomtest(self.lost, differ).pvalue) if differ else 1.0

    @property
    def flip_rate(self) -> float | None:
        """Share of the images that are answered otherwise than by the float source."""
        return (self.total - self.agree) / self.total if self.total else None

    @property
    def digits_top1(self) -> float | None:
        """Share of scikit-learn's digits, which are unlike the training images, that are answered right."""
        return self.digits["correct"] / self.digits["total"] if self.digits else None

    @property
    def digits_agreement(self) -> float | None:
        """Share of these digits that are answered as the float source answers them."""
        return self.digits["agree"] / self.digits["total"] if self.digits else None

    @property
    def same_as_desktop(self) -> float | None:
        """Share of the compared images whose logits are the desktop's to the last bit."""
        return self.same / self.compared if self.compared else None

    @property
    def p50_ns(self) -> float | None:
        return self._quantile(0.5)

    @property
    def p90_ns(self) -> float | None:
        return self._quantile(0.9)

    @property
    def peak_over_runtime_bytes(self) -> int | None:
        """What the artifact adds to the resident memory of a process that holds the runtime and the reference."""
        if self.peak_rss_bytes is None or self.baseline_rss_bytes is None:
            return None
        return self.peak_rss_bytes - self.baseline_rss_bytes

    def _quantile(self, share: float) -> float | None:
        return float(np.quantile(self.latencies_ns, share)) if self.latencies_ns else None


def path(folder: Path, id: str) -> Path:
    """Return where the result of a cell lies."""
    return folder / f"{files.stem(id)}.json"


def answers_path(folder: Path, id: str) -> Path:
    """Return where the logits of a cell lie, [N,10] in the order of the reference's images."""
    return folder / "answers" / f"{files.stem(id)}.npy"


def save(measurement: Measurement, folder: Path) -> None:
    """Write a result whole."""
    files.write_json(path(folder, measurement.id), asdict(measurement))


def read(file: Path) -> Measurement | None:
    """Read a result, None where there is none; raises DataError where it is broken."""
    try:
        content = json.loads(file.read_text())
        known = {f.name: content[f.name] for f in fields(Measurement) if f.name in content}
        lists = {name: tuple(known[name]) for name in LISTS if name in known}
        measurement = Measurement(**known | lists)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file} is no result ({type(error).__name__}: {error}). Delete it and run the cell again."
        raise DataError(msg) from error
    if files.stem(measurement.id) != file.stem:
        msg = f"{file} is the result of {measurement.id}. Delete it and run the cell again."
        raise DataError(msg)
    return measurement
