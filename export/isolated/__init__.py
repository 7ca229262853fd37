"""Toolchains that do not fit into the environment `export`: each has one of its own, and a program here that runs there.

The programs stand alone: the standard library, numpy and their toolchain.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from models.common import environments, processes
from models.common.errors import Unsupported

if TYPE_CHECKING:  # nox reads this table with a Python that has no numpy
    import numpy as np

# The environment of each format that has one. `nox` installs it where such an artifact is asked for.
ENVIRONMENTS = {"openvino": "openvino", "ncnn": "ncnn"}
TIMEOUT_S = 600
UNSUPPORTED = 3  # the exit code of a program that says on stderr, last, why its toolchain cannot do it


class Failed(Exception):
    """A program of another environment did not end well; the message is its last words."""


def run(format_name: str, program: str, *arguments: str | Path) -> None:
    """Run one of these programs in a format's environment; what it prints goes to standard error.

    Raises EnvironmentMissing, Unsupported with the toolchain's own words, or Failed.
    """
    python = environments.python(ENVIRONMENTS[format_name], install=f"nox -s export -- --only '*-{format_name}-*'")
    command = [str(python), "-P", program, *map(str, arguments)]
    # not what the lane holds its own libraries to: OpenVINO's oneDNN, held to AVX2 on a wider CPU, refuses narrow weights
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN_")}
    ended = until_end(command, variables, f"{format_name}'s toolchain")
    print(ended.stdout, ended.stderr, sep="\n", file=sys.stderr)
    if ended.returncode:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else "it said nothing"
        if ended.returncode < 0:  # what it said last was before that
            last = f"{format_name}'s toolchain was {processes.death(ended.returncode)}"
        raise Unsupported(last) if ended.returncode == UNSUPPORTED else Failed(last)


def until_end(command: list[str | Path], env: dict[str, str], name: str) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it ended with; raises Failed where that takes too long, OSError where it does not start."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, env=env)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{name} did not end in {TIMEOUT_S} s") from error


def files_of_pins(format_name: str) -> tuple[str, ...]:
    """Return the file of the versions that convert a format beside those of `export`, from the project's folder on."""
    return (f"constraints/{ENVIRONMENTS[format_name]}.txt",) if format_name in ENVIRONMENTS else ()


def pins(format_name: str) -> dict[str, str]:
    """Return these versions, by distribution."""
    text = "".join((environments.ROOT / file).read_text() for file in files_of_pins(format_name))
    return dict(line.split("==") for line in text.splitlines() if "==" in line and not line.startswith("numpy"))


def logits(format_name: str, program: str, path: Path, images: np.ndarray) -> np.ndarray:
    """Return what a file answers in its environment: native input [N,...] -> native output [N,K]."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        images_file, logits_file = Path(folder) / "images.npy", Path(folder) / "logits.npy"
        np.save(images_file, images)
        run(format_name, program, "answer", path, images_file, logits_file)
        return np.load(logits_file)
