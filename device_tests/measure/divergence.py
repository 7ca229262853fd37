"""Finds where two devices begin to differ: the first layer of a .tflite file that gives other bits for one image.

Run as a program, in the environment `export`, it cuts a file after each of its layers with weights.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from device_tests.contract import Command
from device_tests.onboard import layer_outputs, pixels
from device_tests.onboard.runtimes import RUNTIMES
from models.common import environments
from models.common.errors import EdgewiseError

RUNTIME = "litert"  # the runtime of the cut files


def first_layer(file: Path, sidecar: Path, image: np.ndarray, here: Command, there: Command) -> str:
    """Return the name of the first layer whose bits differ between two devices, for an image [H,W] or [H,W,C].

    The commands start Python for RUNTIME. Raises EdgewiseError where something fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        native = Path(folder) / "image.npy"
        described = json.loads(sidecar.read_text())
        np.save(native, pixels.native(image, described["inputs"][0], described["layout"]))
        python = environments.python("export", install="nox -s export")
        argv = (str(python), "-m", "device_tests.measure.divergence")
        run(Command(argv=argv, env={"PYTHONPATH": str(environments.ROOT)}), file.resolve(), folder)
        cuts = sorted(Path(folder).glob("*.tflite"))
        arguments = (layer_outputs.__file__, RUNTIMES.path(RUNTIME), native, *cuts)
        printed = (run(command, *arguments).splitlines() for command in (there, here))
        ours, theirs = ([line for line in lines if line.startswith("output")] for lines in printed)
    for cut, own, other in zip(cuts, ours, theirs, strict=True):
        if own != other:
            number, _, operator = cut.stem.partition("-")
            return f"layer {int(number)} of {len(cuts)} with weights, {operator}"
    return "what follows the last layer with weights"


def cut(file: Path, folder: Path) -> None:
    """Write a file for each layer with weights, which gives that layer's output alone."""
    from device_tests.measure.explain import tensor_values_tflite

    for number, (operator, content) in enumerate(tensor_values_tflite.cuts(file.read_bytes()), start=1):
        (folder / f"{number:03}-{operator}.tflite").write_bytes(content)


def run(command: Command, *arguments: Path | str) -> str:
    env = {**os.environ, **command.env}
    done = subprocess.run((*command.argv, *arguments), env=env, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise EdgewiseError(f"The layers cannot be compared: {last}")
    return done.stdout


if __name__ == "__main__":
    cut(*map(Path, sys.argv[1:]))
