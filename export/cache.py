"""What took long to compute, kept in the user's cache folder under a name that digests what it was made from."""

import platform
from contextlib import suppress
from pathlib import Path

from models import data
from models.common import provenance


def file(kind: str, name: str, *sources: object) -> Path:
    """Return where something lies that was made from these, and on this kind of CPU, whose instruction sets decide how
    floats are summed.
    """
    instruction_sets = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        instruction_sets = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    digest = provenance.digest(*sources, platform.machine(), instruction_sets)
    return data.cache_folder() / kind / f"{name}-{digest}.npz"


def prune(folder: Path, most: int) -> None:
    """Keep so many files of a folder, the newest."""
    with suppress(OSError):  # another process may do the same
        for old in sorted(folder.glob("*.npz"), key=lambda file: -file.stat().st_mtime)[most:]:
            old.unlink()
