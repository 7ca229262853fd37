"""The roof of every latency: the most multiply-accumulates per second that one core of this machine does."""

import json
import subprocess

from device_tests.measure import c_helpers
from device_tests.onboard import surroundings
from device_tests.results import bounds
from device_tests.results.interleaved import Roof
from models.common import processes
from models.common.errors import EnvironmentMissing


def measure() -> dict[str, Roof]:
    """Return the roofs by dtype: float32, and int8 where the processor multiplies bytes.

    Raises EnvironmentMissing where there is no C compiler.
    """
    program = c_helpers.build("roofline", "-O3", "-march=native", machine=surroundings.cpu_model())
    done = subprocess.run([program], capture_output=True, text=True)
    if done.returncode:  # compiled for another processor's instructions, in a cache that machines share
        raise EnvironmentMissing(f"{program}: {processes.death(done.returncode)}. Delete it: it is compiled anew then.")
    return {
        dtype: Roof(dtype=dtype, macs_per_s=peak["macs_per_s"], with_=peak["with"])
        for dtype, peak in json.loads(done.stdout).items()
    }


def dtype(scheme: str) -> str:
    """Return the dtype of the roof that a scheme is held against: the arithmetic that its weights allow at best."""
    return bounds.FLOAT32 if bounds.arithmetic(scheme) == bounds.FLOAT32 else bounds.INT8
