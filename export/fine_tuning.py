"""What fine-tuning gave, kept in the user's cache folder: it is half of the time that an export of everything takes."""

import io
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np

from export import cache, phases
from export.schemes import described
from export.source import Source
from models.common import files, imports, provenance
from models.common.environments import ROOT
from models.common.errors import StorageError

Weights = Mapping[str, np.ndarray]
MOST_FILES = 50  # files; each has the size of a network's weights


def weights(source: Source, code: str, tune: Callable[[], Weights]) -> Weights:
    """Return the named arrays that `tune` returns, from the cache where they were made from the same before.

    They are made from what the network's reference is made from, the scheme's options, the module `code` with all that
    it imports, what the process is started with, and the kind of CPU, whose instruction sets decide how floats are
    summed.
    """
    tune = phases.phase(phases.TUNE)(tune)
    if not source.inputs:  # it is not known what the network is made from
        return tune()
    path = cache.file(
        "fine-tuned",
        f"{source.model}-{code.rpartition('.')[2]}",
        sorted(source.inputs.items()),
        described(source.options),
        provenance.of_files(imports.closure((code, "export.environment"), ROOT)),
    )
    with suppress(OSError, ValueError, EOFError, zipfile.BadZipFile), np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
    new = tune()
    content = io.BytesIO()
    np.savez(content, **new)
    with suppress(OSError, StorageError):  # the next export takes its time again
        files.write_bytes(path, content.getvalue())
    cache.prune(path.parent, MOST_FILES)
    return new
