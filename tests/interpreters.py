"""Environments that are this very interpreter: what the product runs in one really runs, and nothing is installed."""

from __future__ import annotations

import sys
from pathlib import Path


def install(environments: Path, name: str, *, arguments: str = '"$@"', before: str = "") -> Path:
    """Write the interpreter of an environment; it takes what it is given, or `arguments`, after a line of shell `before`."""
    python = environments / name / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\n{before}\nexec "{sys.executable}" {arguments}\n')
    python.chmod(0o755)
    return python
