"""Starts a program of the project: whatever happens from the first import on ends as a sentence and an exit code.

Imports nothing but the standard library, so that Ctrl-C while the rest is imported is heard here.
"""

import os
import sys
from typing import NoReturn

INTERRUPTED = 130  # what a shell expects after Ctrl-C


def keep_bytecode() -> None:
    """Let Python keep what it compiles, for this process and those that it starts.

    Containers often forbid it with PYTHONDONTWRITEBYTECODE; each process would compile TensorFlow anew then, which takes
    several times as long as to import it.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def main(program: str) -> NoReturn:
    """Import `MODULE:ATTRIBUTE`, a click command, and run it with the command line; see models.common.console.main."""
    keep_bytecode()
    try:
        from models.common import console

        console.main(program)
    except KeyboardInterrupt:
        os.write(2, b"Interrupted. What is finished is kept; the same command does the rest.\n")
        sys.exit(INTERRUPTED)
