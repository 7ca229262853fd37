"""Environments that are this very interpreter: what the product runs in one really runs, and nothing is installed."""

import sys
from pathlib import Path

from tests import programs


def install(environments: Path, name: str, *, arguments: str = '"$@"', before: str = "") -> Path:
    """Write the interpreter of an environment; it takes what it is given, or `arguments`, after a line of shell `before`."""
    return programs.script(environments / name / "bin" / "python", f'{before}\nexec "{sys.executable}" {arguments}')
