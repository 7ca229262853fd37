"""Starts a program of the project: whatever happens from the first import on ends as a sentence and an exit code.

Imports nothing but the standard library, so that Ctrl-C while the rest is imported is heard here.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

INTERRUPTED = 130  # what a shell expects after Ctrl-C


def main(program: str) -> NoReturn:
    """Import `MODULE:ATTRIBUTE`, a click command, and run it with the command line; see models.console.main."""
    try:
        from models import console

        console.main(program)
    except KeyboardInterrupt:
        os.write(2, b"Interrupted. What is finished is kept; the same command does the rest.\n")
        sys.exit(INTERRUPTED)
