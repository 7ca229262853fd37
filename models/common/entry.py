"""Starts a program of the project: whatever happens from the first import on ends as a sentence and an exit code.

Imports nothing but the standard library, so that Ctrl-C while the rest is imported is heard here.
"""

import os
import sys
from typing import NoReturn

INTERRUPTED = 130  # what a shell expects after Ctrl-C
LACKING = 4  # as of models.common.errors.EnvironmentMissing


def keep_bytecode() -> None:
    """Let Python keep what it compiles, for this process and those that it starts.

    Containers often forbid it with PYTHONDONTWRITEBYTECODE; each process would compile TensorFlow anew then, which takes
    several times as long as to import it.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def lacking(error: ModuleNotFoundError) -> str:
    """Say that a library is missing in the environment in use, and which one has it; "" of a module of ours."""
    if (error.name or "").partition(".")[0] in ("", "apps", "device_tests", "export", "models", "tests"):
        return ""
    return (f"{error.name} is not installed in the environment in use, {sys.prefix}. The tasks that `nox -l` lists take "
            "the right one; for a command without nox most need .nox/envs/core/bin/python, as in docs/commands.md.")  # fmt: skip


def main(program: str) -> NoReturn:
    """Import `MODULE:ATTRIBUTE`, a click command, and run it with the command line; see models.common.console.main."""
    keep_bytecode()
    try:
        from models.common import console

        console.main(program)
    except KeyboardInterrupt:
        os.write(2, b"Interrupted. What is finished is kept; the same command does the rest.\n")
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        if not (sentence := lacking(error)):
            raise
        os.write(2, f"error: {sentence}\n".encode())
        sys.exit(LACKING)
