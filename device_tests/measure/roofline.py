"""The roof over every latency: the most multiply-accumulates per second that one core of this machine does."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from device_tests.measure import compiled
from device_tests.onboard import worker
from export.schemes import SCHEMES


@dataclass(frozen=True, kw_only=True)
class Roof:
    """A peak that was measured, and the vector instructions `with_` which; what AMX and the like add is not in it."""

    dtype: str
    macs_per_s: float
    with_: str

    def share(self, macs: int, inference_ns: float) -> float:
        """Return how much of the peak an inference of so many multiply-accumulates reaches."""
        return macs / (inference_ns * 1e-9) / self.macs_per_s


def measure() -> dict[str, Roof]:
    """Return the roofs by dtype, float32 and, where the processor multiplies bytes, int8.

    Raises EnvironmentMissing where there is no C compiler.
    """
    program = compiled.build("roofline", "-O3", "-march=native", machine=worker.cpu_model())
    told = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {
        dtype: Roof(dtype=dtype, macs_per_s=peak["macs_per_s"], with_=peak["with"])
        for dtype, peak in json.loads(told).items()
    }


def dtype(scheme: str) -> str:
    """Return under which roof a scheme is: that of the arithmetic its weights allow, whatever the runtime makes of it."""
    return "float32" if SCHEMES[scheme].weights.startswith("float") else "int8"
