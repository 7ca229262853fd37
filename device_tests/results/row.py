"""A row of a report: a measurement with what runs of their own add to it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from device_tests.results.measurement import Measurement
from models.records import Count, Magnitude, Share

# Whether a row's figures count: a result is there and holds, there is none, it is of other inputs than the present
# ones, or it cannot be (a broken record, impossible figures, an artifact that is not the one that ran).
Evidence = Literal["current", "missing", "stale", "unusable"]


class Row(Measurement, kw_only=True):
    """A measurement, and the figures that other runs of the same artifact on the same runtime gave.

    `instructions` are executed ones per inference on `instructions_cpu`, `delegated_share` is of the MACs, and
    `latency_ratio` is to the float32 row of the same runtime in one interleaved run, between `latency_ratio_low` and
    `latency_ratio_high` with 95 % certainty. `covered_share` is of the stored weights, in the scheme's own
    dtype, `covered_macs` of the multiply-accumulates; `batch` is how many images it takes at once, -1 for any number, and
    `options` are those that edgewise.toml gives its scheme. `same` is on how many of `compared` images the logits are the desktop's to
    the last bit, `difference` how far one lies apart, and `first_other` the index of the first image with other logits;
    `oldest_runtime` names the versions of the runtime that answer as they should. `npu_share` is of the operators that
    vela gives to the smallest Ethos-U that it compiles for. `rewrites` are those of its file (export/rewrites/),
    `rewrites_instructions` and `rewrites_latency` what is left with them of the instructions and the latency without. `bound_share` is how much of the core's limit the instructions
    reach, `bound` what the limit is (bounds.py); `roof_share` how much of one core's measured peak in the arithmetic `roof`
    the interleaved median does. `evidence` says whether the row counts;
    where it does not, the outcome is `skipped` or that of the artifact. What was not measured is None.
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
