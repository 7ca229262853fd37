"""What fine-tuning gave, kept in the user's cache folder: it is half of the time that an export of everything takes."""

from __future__ import annotations

import io
import platform
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export import phases
from export.schemes import described
from models import data, files, imports, inputs
from models.environments import ROOT
from models.errors import StorageError

if TYPE_CHECKING:
    from export.source import Source

Weights = Mapping[str, np.ndarray]
KEPT = 50  # files; each has the size of a network's weights


def folder() -> Path:
    """Return where the files lie."""
    return data.cache_folder() / "fine-tuned"


def weights(source: Source, code: str, tune: Callable[[], Weights]) -> Weights:
    """Return the named arrays that `tune` returns, from the cache where they were made from the same before.

    They are made from what the network's reference is made from, the scheme's options, the module `code` with all that
    it imports, what the process is started with, and the kind of CPU, whose instruction sets decide how floats are
    summed.
    """
    if not source.inputs:  # it is not known what the network is made from
        with phases.phase(phases.TUNE):
            return tune()
    made_from = inputs.digest(
        sorted(source.inputs.items()),
        described(source.options),
        inputs.of_files(imports.closure((code, "export.environment"), ROOT)),
        platform.machine(),
        _instruction_sets(),
    )
    path = folder() / f"{source.model}-{code.rpartition('.')[2]}-{made_from}.npz"
    with suppress(OSError, ValueError, EOFError, zipfile.BadZipFile), np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}
    with phases.phase(phases.TUNE):
        made = tune()
    content = io.BytesIO()
    np.savez(content, **made)
    with suppress(OSError, StorageError):  # the next export takes its time again
        files.write_bytes(path, content.getvalue())
        for old in sorted(folder().glob("*.npz"), key=lambda file: -file.stat().st_mtime)[KEPT:]:
            old.unlink()
    return made


def _instruction_sets() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return platform.processor()
