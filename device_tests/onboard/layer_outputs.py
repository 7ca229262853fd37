"""Prints a digest of the output of each of several files for one image; stands alone, for devices run it, too."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np


def main(source: Path, image: Path, *cuts: Path) -> None:
    sys.path.remove(str(Path(__file__).resolve().parent))  # its files would shadow libraries' names
    spec = importlib.util.spec_from_file_location("edgewise_runtime", source)
    runtime = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runtime)
    runtime.start(1)
    for cut in cuts:
        output = runtime.load(cut, 1)(np.load(image))
        print("output", hashlib.sha256(np.ascontiguousarray(output).tobytes()).hexdigest())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
