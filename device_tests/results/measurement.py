"""The result of a cell: raw values, typed when they are read; every statistic is a property."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from msgspec import Meta

from device_tests.cells import Cell
from device_tests.results.store import Store
from export.artifact import Artifact, Dataset
from export.recipe import Recipe
from models import suggested_commands
from models.common import files, records
from models.common.records import Count, Magnitude, Positive, Record, Sha256, Share

# In the order of tables. The first four are properties of the artifact.
Outcome = Literal["ok", "unsupported", "mismatch", "export_failed", "load_failed", "run_failed", "timed_out", "skipped"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)

CONFIDENCE = 0.95
FLIPS = 500  # most images with another prediction than the source's that are listed; all are counted
Prediction = Annotated[int, Meta(ge=-1, le=2**31)]  # -1 where the logits are not finite


class Environment(Record, kw_only=True):
    """Where a measurement was taken; `runtime` holds the versions of the runtime's distributions.

    What only some devices report (an emulator, governors, the battery) is in `extra`.
    """

    cpu: str = ""
    cpus: Positive | None = None
    os: str = ""
    machine: str = ""
    python: str = ""
    numpy: str = ""
    date: Annotated[str, Meta(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d|Z))?$")] = ""
    runtime: dict[str, str] = {}
    extra: dict[str, Any] = {}

    def __bool__(self) -> bool:
        """Tell whether anything ran there."""
        return self != Environment()


class Flip(Record, kw_only=True):
    """An image whose prediction differs from the float source's; a margin is None where logits are not finite."""

    index: Count
    label: Count
    ours: Prediction
    theirs: Prediction
    our_margin: Magnitude | None
    their_margin: Magnitude


class Counts(Record, kw_only=True):
    """Counts of right predictions, and of those equal to the source's, on `total` images of an evaluation set."""

    total: Positive
    correct: Count
    source_correct: Count
    agree: Count

    def __post_init__(self) -> None:
        if max(self.correct, self.source_correct, self.agree) > self.total:
            raise ValueError(f"counts of more than {self.total:,} images")

    @property
    def top1(self) -> float:
        """Share of the images with a right prediction."""
        return self.correct / self.total

    @property
    def agreement(self) -> float:
        """Share of the images with the float source's prediction."""
        return self.agree / self.total


class Recall(Record, kw_only=True):
    """The right predictions, here and of the float source, on a class' `total` images; `label` is the class' index."""

    label: Count
    total: Positive
    correct: Count
    source_correct: Count

    def __post_init__(self) -> None:
        if max(self.correct, self.source_correct) > self.total:
            raise ValueError(f"counts of more than the {self.total:,} images of a class")

    @property
    def recall(self) -> float:
        """Share of the class' images with a right prediction."""
        return self.correct / self.total

    @property
    def source_recall(self) -> float:
        """The same share of the float source."""
        return self.source_correct / self.total


class Judgement(Record, kw_only=True):
    """The fields of a measurement that come from its logits; `total` and the counts are None where there are none.

    The counts are of `total` images: `correct` predictions are right, `agree` are the float source's, `lost` only the
    source has right, and `gained` only the artifact. `first_correct` and `first_agree` are of the first 1,000 images
    alone. `flips` are the first images whose prediction differs from the source's.

    `top5_correct` and `source_top5_correct` count images whose label is among the first five classes, where there are
    more than ten classes. `worst_class` is the class that loses most recall against the source, where one loses any.
    `ece` is the expected calibration error; where the source's outputs are `probabilities` the outputs are taken as
    they are.
    """

    outcome: Outcome
    reason: str = ""
    total: Positive | None = None
    correct: Count | None = None
    agree: Count | None = None
    lost: Count | None = None
    gained: Count | None = None
    first_correct: Count | None = None
    first_agree: Count | None = None
    max_abs_error: Magnitude | None = None
    ece: Share | None = None
    source_ece: Share | None = None
    flips: tuple[Flip, ...] = ()
    top5_correct: Count | None = None
    source_top5_correct: Count | None = None
    worst_class: Recall | None = None
    probabilities: bool = False


class Measurement(Judgement, kw_only=True):
    """One artifact on one runtime on one device; a figure that the run did not reach is None.

    `inputs` are digests of everything that the logits depend on, `sets` the counts on each other evaluation set by its
    name.

    `baseline_rss_bytes` is resident memory with runtime and reference, before the artifact is loaded, `peak_rss_bytes`
    the highest after it. `arena_bytes` is the memory that a microcontroller needs for the network, without its weights.
    """

    artifact: str
    runtime: str
    device: str
    quick: bool = False
    inputs: dict[str, str] = {}
    artifact_sha256: Sha256 = ""
    checkpoint_sha256: Sha256 = ""
    dataset: Dataset = Dataset()
    size_bytes: Count | None = None
    compressed_bytes: Count | None = None
    sets: dict[str, Counts] = {}
    load_ns: Count | None = None
    first_ns: Count | None = None
    latencies_ns: tuple[Positive, ...] = ()
    cpu_per_wall: Magnitude | None = None
    threads: Positive | None = None
    peak_rss_bytes: Count | None = None
    baseline_rss_bytes: Count | None = None
    arena_bytes: Count | None = None
    seconds: Magnitude = 0.0
    environment: Environment = Environment()
    notes: tuple[str, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        return Recipe.parse(self.artifact)

    @property
    def id(self) -> str:
        return f"{self.artifact}@{self.runtime}@{self.device}"

    @property
    def top1(self) -> float | None:
        """Share of the images with a right prediction."""
        return self.correct / self.total if self.total else None

    @property
    def agreement(self) -> float | None:
        """Share of the images with the float source's prediction."""
        return self.agree / self.total if self.total else None

    @property
    def top1_loss(self) -> float | None:
        """Top-1 of the float source less top-1 of the artifact, on the same images."""
        return (self.lost - self.gained) / self.total if self.total else None

    @property
    def top1_loss_bound(self) -> float | None:
        """The bound that `top1_loss` stays under with 95 % certainty, which shows non-inferiority.

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
        """McNemar's exact p: how likely chance divides the images that only one of the two has right this unevenly."""
        if not self.total:
            return None
        from scipy.stats import binomtest

        differ = self.lost + self.gained
        return float(binomtest(self.lost, differ).pvalue) if differ else 1.0

    @property
    def flip_rate(self) -> float | None:
        """Share of the images whose prediction differs from the float source's."""
        return (self.total - self.agree) / self.total if self.total else None

    @property
    def top5(self) -> float | None:
        """Share of the images whose label is among the first five classes; None where there are at most ten classes."""
        return None if self.top5_correct is None or not self.total else self.top5_correct / self.total

    @property
    def source_top5(self) -> float | None:
        """The same share of the float source."""
        return None if self.source_top5_correct is None or not self.total else self.source_top5_correct / self.total

    @property
    def recall_loss(self) -> float | None:
        """Recall that the worst class loses against the float source; 0 where no class loses any."""
        if not self.total:
            return None
        return self.worst_class.source_recall - self.worst_class.recall if self.worst_class else 0.0

    @property
    def p50_ns(self) -> float | None:
        return self._quantile(0.5)

    @property
    def p90_ns(self) -> float | None:
        return self._quantile(0.9)

    @property
    def peak_over_runtime_bytes(self) -> int | None:
        """Resident memory that the artifact adds to a process with the runtime and the reference."""
        if self.peak_rss_bytes is None or self.baseline_rss_bytes is None:
            return None
        return self.peak_rss_bytes - self.baseline_rss_bytes

    def _quantile(self, share: float) -> float | None:
        return float(np.quantile(self.latencies_ns, share)) if self.latencies_ns else None

    @property
    def impossible(self) -> str:
        """Return which figures contradict each other or are missing from an ok result; "" where none do."""
        if self.outcome != "ok":
            return ""
        judged = (self.total, self.correct, self.agree, self.lost, self.gained, self.size_bytes, self.max_abs_error)
        if any(figure is None for figure in judged):
            return "it is ok without having been judged"
        if max(self.correct, self.agree) > self.total:
            return f"{max(self.correct, self.agree):,} answers of {self.total:,} images"
        if self.lost + self.gained > self.total - self.agree:
            return f"{self.lost + self.gained:,} answers lost or gained, but {self.total - self.agree:,} differ"
        if self.gained > self.correct or self.lost > self.total - self.correct:
            return f"{self.gained:,} gained and {self.lost:,} lost answers do not go with {self.correct:,} right ones"
        if len(self.flips) != min(FLIPS, self.total - self.agree):
            return f"{len(self.flips):,} differing images are listed, {self.total - self.agree:,} differ"
        if any(flip.index >= self.total or flip.ours == flip.theirs for flip in self.flips):
            return "an image is listed as differing that does not differ, or was not judged"
        if self.peak_over_runtime_bytes is not None and self.peak_over_runtime_bytes < 0:
            return "the peak of its memory lies below the baseline"
        return ""


def environment(reported: dict[str, Any]) -> Environment:
    """Return a worker's environment as a record, what only some devices report in `extra`. Raises ValueError."""
    fields = set(Environment.__struct_fields__) - {"extra"}
    typed = {name: value for name, value in reported.items() if name in fields}
    others = {name: value for name, value in reported.items() if name not in fields}
    return records.convert({**typed, "extra": others}, Environment)


def of_artifact(artifact: Artifact) -> dict[str, Any]:
    """Return the fields of a measurement that its artifact's sidecar gives, except for the file's digest."""
    names = ("checkpoint_sha256", "dataset", "size_bytes", "compressed_bytes")
    return {name: getattr(artifact, name) for name in names}


def from_reply(facts: dict[str, Any], reply: dict[str, Any]) -> Measurement:
    """Return the measurement of a worker's reply, which may hold anything: impossible figures make it `run_failed`."""
    try:
        content = {"environment": environment(reply.get("environment") or {}), **facts}
        content |= {name: value for name, value in reply.items() if name not in ("environment", "logits")}
        measurement = records.convert(content, Measurement, from_attributes=True)
        impossible = measurement.impossible
    except (TypeError, ValueError) as error:
        impossible = str(error)
    if not impossible:
        return measurement
    return Measurement(**facts, outcome="run_failed", reason=f"its figures cannot be: {impossible}")


def without_result(cell: Cell, outcome: Outcome, reason: str) -> Measurement:
    """Return the row of a cell that did not run."""
    names = {"artifact": cell.recipe.id, "runtime": cell.runtime, "device": cell.device}
    return Measurement(**names, outcome=outcome, reason=reason)


def not_exported(cell: Cell) -> Measurement:
    """Return the row of a cell whose artifact was never exported."""
    return without_result(
        cell, "skipped", f"not exported: {suggested_commands.nox('export', f'--only {cell.recipe.id}')}"
    )


def logits_path(folder: Path, id: str) -> Path:
    """Return where the logits of a cell lie, [N,K] in the order of the reference's images."""
    return folder / "logits" / f"{files.stem(id)}.npy"


RESULTS = Store(kind=Measurement, folder="", what="result", remedy="Delete it, or run the cell again.")
path, save, read = RESULTS.path, RESULTS.save, RESULTS.read_file
