"""TensorFlow Lite for Microcontrollers: its reference kernels, built for this machine.

The logits are a microcontroller's; the times here mean nothing for one, so none are taken.
"""

import os
import re
import tempfile
from contextlib import contextmanager

suffixes = (".tflite",)
eager = ""
distributions = ("tflite-micro",)
refusals = ("not supported on TFLite Micro", "was not true", "Didn't find op for builtin opcode", "unsupported")
timed = False

TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
OUTSIDE = "tensorflow/lite/micro/"  # the prefix of its own messages


def start(threads):
    from tflite_micro.python.tflite_micro import runtime  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    from tflite_micro.python.tflite_micro import runtime

    failure = None
    with _captured_stderr() as words:
        try:
            interpreter = runtime.Interpreter.from_file(str(path))
        except RuntimeError as error:  # the reason is not in the exception, but on fd 2
            failure = error
    if failure is not None:
        lines = [line.strip().removeprefix(OUTSIDE) for line in words if line.strip()]
        raise RuntimeError("; ".join(lines) or str(failure))

    def infer(native):
        interpreter.set_input(native, 0)
        interpreter.invoke()
        return interpreter.get_output(0)

    with _captured_stderr() as words:
        interpreter.print_allocations()
    infer.arena_bytes = next(int(match[1]) for line in words if (match := TOTAL.search(line)))
    return infer


@contextmanager
def _captured_stderr():
    """Catch what the library prints to standard error; yield a list, which holds the lines afterwards."""
    lines, stderr = [], os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
