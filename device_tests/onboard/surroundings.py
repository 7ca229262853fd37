"""What a process runs on and takes: versions, processor, memory; stands alone, for it is copied to devices, too."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

MEMORY_BYTES = 4 << 30  # that an artifact may take beyond its runtime: a damaged one may request any amount


def environment(distributions: tuple[str, ...]) -> dict:
    """Return where a measurement was taken; a time means nothing without it."""
    return {
        "runtime": {name: importlib.metadata.version(name) for name in distributions},
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "os": platform.platform(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017 - devices have older Pythons
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    arm = (f"{name} {fields[name]}" for name in ("CPU implementer", "CPU part") if name in fields)
    return fields.get("model name") or " ".join(arm)


def bound_memory() -> None:
    """Limit this process to MEMORY_BYTES more than it has: a larger request is an error and starves nobody."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most, bound = pages * resource.getpagesize() + MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]
        if bound != resource.RLIM_INFINITY:  # the starting process set a limit, which may not be raised
            most = min(most, bound)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, OSError):
        return  # not Linux


class Memory:
    """Resident memory: the baseline includes the runtime and the reference, the peak is the highest after it.

    On Linux both are the kernel's own figures (VmRSS, and VmHWM after a reset). Elsewhere the peak is the whole
    process', from its start on, and there is no baseline.
    """

    STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        try:
            self.RESET.write_text("5")
            self.baseline = self._status("VmRSS")
        except OSError:
            self.baseline = None

    def peak(self, notes: list) -> int | None:
        """Return the peak in bytes, None where it is unknown; what limits the figure is added to the notes."""
        if self.baseline is not None:
            return self._status("VmHWM")
        try:
            import resource
        except ImportError:  # Windows
            notes.append("this system does not tell the peak of resident memory")
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        notes.append("the peak of resident memory is that of the whole process, without a baseline")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def _status(self, name: str) -> int:
        line = next(line for line in self.STATUS.read_text().splitlines() if line.startswith(name + ":"))
        return int(line.split()[1]) * 1024
