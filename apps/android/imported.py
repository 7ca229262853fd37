"""What the app's own code exported in its tests, taken in like a phone's and held against the desktop's own rows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from device_tests.results import parity
from device_tests.rows import found, load, rows
from models.environments import ROOT
from models.errors import EdgewiseError

DEVICE = "app:robolectric"
# By runtime: how far a logit may lie from the desktop's. The same library answers in both, on one processor.
SAME = {"litert": 0.0, "executorch": 0.0, "onnxruntime": 1e-5}


def compare(exported: Path, artifacts: Path) -> str:
    """Import the file, run its artifacts on the desktop, and return a sentence; raises EdgewiseError where rows differ."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        places = ("--artifacts", str(artifacts), "--results", str(results))
        _device_tests("run", "--import", str(exported), *places)
        known = load(results)
        brought = tuple(m for m in known.measurements.values() if m.device == DEVICE)
        only = tuple(part for m in brought for part in ("--only", m.artifact))
        runtimes = tuple(part for name in sorted({m.runtime for m in brought}) for part in ("--runtime", name))
        _device_tests("run", "--quick", *runtimes, *only, *places)
        known = load(results)
        chosen = found(known, (DEVICE,))
        counted = rows(chosen, known, artifacts_folder=artifacts, results_folder=results)
        good = [row for row in counted if row.id in known.measurements]
        for row in good:
            beside = known.measurements[f"{row.artifact}@{row.runtime}@desktop"]
            count = row.total
            ours, theirs = (parity.load(results, one)[:count] for one in (row.id, beside.id))
            off = float(np.abs(ours - theirs).max())
            if (
                (row.outcome, row.evidence) != ("ok", "current")
                or off > SAME[row.runtime]
                or (ours.argmax(1) != theirs.argmax(1)).any()
            ):
                msg = f"{row.id} is not the desktop's row: {row.outcome}, {row.evidence}, {row.reason}, logits off by {off:.3g}"
                raise EdgewiseError(msg)
        if len(good) != len(brought) or not good:
            msg = f"{len(good)} of the {len(brought)} imported results are rows of the report."
            raise EdgewiseError(msg)
        return f"{len(good)} rows of the file that the app exported equal the desktop's, on {good[0].total} images"


def _device_tests(*arguments: str) -> None:
    done = subprocess.run((sys.executable, "-m", "device_tests", *arguments), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        msg = f"python -m device_tests {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}"
        raise EdgewiseError(msg)
