"""TensorFlow Lite for Microcontrollers: its reference kernels, built for this machine.

The logits are a microcontroller's; the times here mean nothing for one, so none are taken.
"""

import os
import re
import tempfile

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
        lines = [line.strip().removeprefix(OUTSIDE) for line in words() if line.strip()]
        raise RuntimeError("; ".join(lines) or str(failure))

    def infer(native):
        interpreter.set_input(native, 0)
        interpreter.invoke()
        return interpreter.get_output(0)

    with _captured_stderr() as words:
        interpreter.print_allocations()
    infer.arena_bytes = next(int(match[1]) for line in words() if (match := TOTAL.search(line)))
    return infer


class _captured_stderr:  # noqa: N801 - used as a function
    """Catch what the library prints to standard error; the lines can be read afterwards."""

    def __enter__(self):
        self.file, self.saved_stderr = tempfile.TemporaryFile(), os.dup(2)
        os.dup2(self.file.fileno(), 2)
        return self.lines

    def __exit__(self, *raised):
        os.dup2(self.saved_stderr, 2)
        os.close(self.saved_stderr)

    def lines(self):
        self.file.seek(0)
        return self.file.read().decode(errors="replace").splitlines()
