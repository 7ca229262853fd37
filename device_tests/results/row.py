"""A row of a report: a measurement with the figures of separate runs."""

from typing import Annotated, Literal

from msgspec import Meta

from device_tests.results.measurement import Measurement
from models.common.records import Count, Magnitude, Share

# Whether a row's figures count: the result is current, there is none, it is of other inputs than the present
# ones, or it cannot be true (a broken record, impossible figures, another artifact than the one that ran).
Evidence = Literal["current", "missing", "stale", "unusable"]


class Row(Measurement, kw_only=True):
    """A measurement, and the figures of separate runs of the same artifact and runtime; None where there are none.

    `evidence` says whether the row counts; if not, the outcome is `skipped` or that of the artifact. `covered_share` is
    the share of the stored weights, and `covered_macs` of the multiply-accumulates, in the scheme's own dtype. `batch`
    is the number of images of an inference, -1 for any. `options` are those that edgewise.toml gives the scheme.

    `instructions` are executed per inference on `instructions_cpu`. `bound_share` is the share of the core's limit that
    they reach, and `bound` describes the limit (bounds.py). `delegated_share` is of the multiply-accumulates.
    `latency_ratio` is to the float32 row of the same runtime in one interleaved run, with its 95 % interval from
    `latency_ratio_low` to `latency_ratio_high`; `roof_share` is the share of one core's peak in the arithmetic `roof`
    that the median reaches there.

    Of `compared` images `same` have the desktop's logits to the last bit; `difference` is the largest difference, and
    `first_other` the index of the first image that differs. `oldest_runtime` names the versions of the runtime that
    compute the artifact right. `npu_share` is the share of the operators that vela gives to the smallest Ethos-U. `rewrites` are those
    of its file (export/rewrites/); `rewrites_instructions` and `rewrites_latency` are the shares of the instructions and of the
    latency without them that are left.
    """

    instructions: Count | None = None
    instructions_cpu: str = ""
    delegated_share: Share | None = None
    latency_ratio: Magnitude | None = None
    latency_ratio_low: Magnitude | None = None
    latency_ratio_high: Magnitude | None = None
    same: Count | None = None
    compared: Count | None = None
    difference: Magnitude | None = None
    first_other: Count | None = None
    oldest_runtime: str = ""
    covered_share: Share | None = None
    covered_macs: Share | None = None
    batch: Annotated[int, Meta(ge=-1)] = 1
    options: str = ""
    bound_share: Magnitude | None = None
    bound: str = ""
    roof_share: Magnitude | None = None
    roof: str = ""
    npu_share: Share | None = None
    rewrites: str = ""
    rewrites_instructions: Magnitude | None = None
    rewrites_latency: Magnitude | None = None
    evidence: Evidence = "current"

    @property
    def same_as_desktop(self) -> float | None:
        """Share of the compared images whose logits are the desktop's to the last bit."""
        return self.same / self.compared if self.compared else None
