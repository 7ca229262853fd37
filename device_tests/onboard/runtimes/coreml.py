"""Apple's Core ML, as a Mac has it. Never run yet: no Mac was there. The CPU alone, whose answers all Macs share."""

suffixes = (".mlpackage",)
eager = ""
distributions = ("coremltools",)
refusals = ("not supported", "unsupported")
systems = ("darwin",)


def start(threads):
    import coremltools  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    import coremltools
    import numpy as np

    model = coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY)
    return lambda native: np.asarray(model.predict({"image": native})["logits"])
