"""Where the pinned Python environments are: one for the orchestrators, one for the exporters, one per runtime."""

import os
from pathlib import Path

from models.common.errors import EnvironmentMissing

ROOT = Path(__file__).resolve().parents[2]
# PyTorch's own index of CPU builds. It is asked only where the index in use has no `+cpu` build, so that no machine
# ever takes the CUDA build and its gigabytes.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAMP = "constraints.sha256"  # in an environment's folder: the digest of the constraints that it was installed from
UNFINISHED = "unfinished"  # a file in it from the first moment of its installation to the last


def folder() -> Path:
    """Return the environments' folder: EDGEWISE_ENVS, or the one that nox fills."""
    return Path(os.environ.get("EDGEWISE_ENVS") or ROOT / ".nox" / "envs")


def python(name: str, *, install: str) -> Path:
    """Return an environment's interpreter; raises EnvironmentMissing that names `install`, the command that makes it."""
    home = folder() / name
    if (home / UNFINISHED).exists():
        msg = f"The environment {name!r} in {folder()} is only half installed. Install it with: {install}"
        raise EnvironmentMissing(msg)
    for candidate in interpreters(home):
        if candidate.exists():
            return candidate
    raise EnvironmentMissing(f"The environment {name!r} is not installed in {folder()}. Install it with: {install}")


def interpreters(home: Path) -> tuple[Path, ...]:
    """Return where an environment's interpreter may be."""
    return home / "bin" / "python", home / "Scripts" / "python.exe"


def torch_pin(constraints: Path) -> str | None:
    """Return the pin of PyTorch's CPU build, as pip takes it; None where an environment has none."""
    return next((line for line in constraints.read_text().splitlines() if line.startswith("torch==")), None)
