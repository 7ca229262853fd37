"""Compares the stored logits of two runs of one artifact: does another device give the desktop's?"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.contract import DESKTOP
from device_tests.results import measurement as measurements
from models.common import files, records
from models.common.errors import DataError

# runtimes of the web demo -> the desktop's runtime for the same files
IN_BROWSERS = {"litertjs": "litert", "litertjs_webgpu": "litert", "onnxruntime_web": "onnxruntime"}


def save(results: Path, id: str, logits: np.ndarray | None) -> None:
    """Store a cell's logits [N,K], or remove those of an earlier run where there are none."""
    path = measurements.logits_path(results, id)
    if logits is None:
        files.remove(path)
        return
    content = io.BytesIO()
    np.save(content, logits)  # into a file it would not tell a full disk from other errors
    files.write_bytes(path, content.getbuffer())


def compare(row: measurements.Measurement, results: Path) -> dict[str, Any]:
    """Return how a row's logits differ from the desktop's on the same runtime; nothing where there are none to compare.

    A browser's runtime is compared with the desktop's that runs the same files. Raises DataError where stored logits
    are broken.
    """
    if row.device == DESKTOP:
        return {}
    runtime = IN_BROWSERS.get(row.runtime, row.runtime)
    beside = measurements.read(measurements.path(results, f"{row.artifact}@{runtime}@{DESKTOP}"))
    if beside is None or (beside.outcome, beside.artifact_sha256) != ("ok", row.artifact_sha256):
        return {}
    ours, theirs = load(results, row.id), load(results, beside.id)
    if ours is None or theirs is None or ours.shape[1:] != theirs.shape[1:]:
        return {}
    count = min(len(ours), len(theirs))
    other = np.flatnonzero((ours[:count] != theirs[:count]).any(1))
    return {
        "compared": count,
        "same": count - len(other),
        "difference": float(np.abs(ours[:count] - theirs[:count]).max()),
        "first_other": int(other[0]) if len(other) else None,
    }


def load(results: Path, id: str) -> np.ndarray | None:
    """Return a cell's logits [N,K], None where there are none; raises DataError where they are broken."""
    path = measurements.logits_path(results, id)
    try:
        logits = np.load(io.BytesIO(files.read_bytes(path, records.MOST_BYTES)), allow_pickle=False)
    except FileNotFoundError:
        return None
    # for a damaged header numpy raises many classes, SyntaxError and MemoryError among them
    except Exception as error:
        msg = f"{path} holds no logits ({records.one_line(error)}). Delete it and run the cell again."
        raise DataError(msg) from error
    if logits.ndim != 2 or logits.dtype != np.float32:
        raise DataError(f"{path} holds no logits. Delete it and run the cell again.")
    return logits
