"""Answers the app's tests in place of an engine: RUNTIME.py ARTIFACT DTYPE SHAPE; inputs and answers in base64, a line each.

It stands alone, for it runs in a runtime's own environment. It loads the project's own adapter of the runtime.
"""

import base64
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    answer = os.fdopen(os.dup(1), "w", buffering=1)  # libraries print what they like to fd 1
    os.dup2(2, 1)
    adapter, artifact, dtype, shape = sys.argv[1:]
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).parent]
    spec = importlib.util.spec_from_file_location("edgewise_runtime", adapter)
    runtime = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(runtime)
        runtime.start(1)
        infer = runtime.load(Path(artifact), 1)
    except Exception as error:  # runtimes raise anything
        print(f"!{type(error).__name__}: {' '.join(str(error).split())[:300]}", file=answer)
        return
    print("ready", file=answer)
    for line in sys.stdin:
        image = np.frombuffer(base64.b64decode(line), dtype).reshape([int(size) for size in shape.split(",")])
        try:
            logits = np.ascontiguousarray(infer(image))
        except Exception as error:  # runtimes raise anything
            print(f"!{type(error).__name__}: {' '.join(str(error).split())[:300]}", file=answer)
            continue
        print(base64.b64encode(logits.tobytes()).decode(), file=answer)


if __name__ == "__main__":
    main()
