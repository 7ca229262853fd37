"""The files that are copied onto a device and stand alone there: worker, probe, the modules of both, the runtimes."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent
# The worker with the files that it imports, and the probe, which imports the worker.
WORKER = tuple(_FOLDER / f"{name}.py" for name in ("worker", "pixels", "sampling", "surroundings"))
PROBE = (*WORKER, _FOLDER / "probe.py")
