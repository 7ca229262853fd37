"""What the app's own code exported in its tests, taken in like a phone's and held against the desktop's own rows."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np

from device_tests.results import parity
from device_tests.results.row import Row
from device_tests.rows import load
from models import networks
from models.common.environments import ROOT
from models.common.errors import EdgewiseError
from tests.device_tests.conftest import joined

DEVICE = "app:robolectric"


def compare(exported: Path, artifacts: Path, own: Path | None = None) -> str:
    """Import a file, run its artifacts on the desktop, and return a sentence; raises EdgewiseError where rows differ.

    `own` is a user's folder of networks, None for the zoo.
    """
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ):  # which puts back what was there
        os.environ.pop(networks.VARIABLE, None)
        if own:  # it stands for the zoo, here and in what is started
            os.environ[networks.VARIABLE] = str(own)
        results = Path(folder)
        places = ("--artifacts", str(artifacts), "--results", str(results))
        _device_tests("run", "--import", str(exported), *places)
        brought = tuple(m for m in load(results).measurements.values() if m.device == DEVICE)
        only = tuple(part for m in brought for part in ("--only", m.artifact))
        runtimes = tuple(part for name in sorted({m.runtime for m in brought}) for part in ("--runtime", name))
        _device_tests("run", "--quick", *runtimes, *only, *places)
        good = [row for row in joined(artifacts, results, DEVICE) if row.id in {m.id for m in brought}]
        for row in good:
            _compare(row, results)
        if len(good) != len(brought) or not good:
            raise EdgewiseError(f"{len(good)} of the {len(brought)} imported results are rows of the report.")
        return f"{len(good)} rows of the file that the app exported equal the desktop's, on {good[0].total} images"


def _compare(row: Row, results: Path) -> None:
    """Raise EdgewiseError where an imported row is not good, or its logits are not the desktop's to the last bit."""
    beside = f"{row.artifact}@{row.runtime}@desktop"
    ours, desktop = (parity.load(results, id)[: row.total] for id in (row.id, beside))
    off = float(np.abs(ours - desktop).max())
    if off or (row.outcome, row.evidence) != ("ok", "current"):  # the same library answers in both, on one processor
        msg = f"{row.id} is not the desktop's row: {row.outcome}, {row.evidence}, {row.reason}, logits off by {off:.3g}"
        raise EdgewiseError(msg)


def _device_tests(*arguments: str) -> None:
    done = subprocess.run((sys.executable, "-m", "device_tests", *arguments), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise EdgewiseError(f"python -m device_tests {' '.join(arguments)} failed: {done.stderr.strip()[-500:]}")
