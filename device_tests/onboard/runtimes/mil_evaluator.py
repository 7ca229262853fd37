"""Evaluates the program in a Core ML file with NumPy, anywhere: the arithmetic of the file, not Apple's runtime.

Its logits are judged; its times mean nothing, so none are taken.
"""

suffixes = (".mlpackage",)
eager = ""
distributions = ("coremltools",)
refusals = ("knows no operator",)
timed = False
code = ("models.mil", "models.mil_operators", "models.mil_resizing")  # beside this file


def start(threads):
    from models import mil  # noqa: F401  what the exporter judges the same file with


def load(path, threads):
    from models import mil

    return mil.Program(path).evaluate
