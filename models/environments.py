"""Where the pinned Python environments are: one for the orchestrators, one for the exporters, one per runtime."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import EnvironmentMissing

ROOT = Path(__file__).resolve().parents[1]
# PyTorch's own index of CPU builds. It is asked only where the index in use has no `+cpu` build, so that no machine
# ever takes the CUDA build and its gigabytes.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def folder() -> Path:
    """Return the environments' folder: EDGEWISE_ENVS, or the one that nox fills."""
    return Path(os.environ.get("EDGEWISE_ENVS") or ROOT / ".nox" / "envs")


def python(name: str, *, install: str) -> Path:
    """Return an environment's interpreter; raises EnvironmentMissing that names `install`, the command that makes it."""
    home = folder() / name
    for candidate in (home / "bin" / "python", home / "Scripts" / "python.exe"):
        if candidate.exists():
            return candidate
    msg = f"The environment {name!r} is not installed in {folder()}. Install it with: {install}"
    raise EnvironmentMissing(msg)


def torch_pin(constraints: Path) -> str | None:
    """Return the pin of PyTorch's CPU build, as pip takes it; None where an environment has none."""
    return next((line for line in constraints.read_text().splitlines() if line.startswith("torch==")), None)
