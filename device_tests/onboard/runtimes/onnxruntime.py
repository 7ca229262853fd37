"""ONNX Runtime on its CPU provider."""

import os

suffixes = (".onnx", ".ort")
eager = ""
distributions = ("onnxruntime",)
refusals = ("NOT_IMPLEMENTED", "is not a registered function/op", "Unsupported model IR version", "not supported")


def start(threads):
    # before the import, which else starts a thread that reports to Microsoft and changes counts of instructions
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0].name
    logits = [session.get_outputs()[0].name]
    return lambda native: session.run(logits, {image: native})[0]
