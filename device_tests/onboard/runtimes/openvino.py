"""OpenVINO on its CPU plugin, with its own files and with .onnx ones."""

suffixes = (".openvino", ".onnx")
eager = ""
distributions = ("openvino",)
refusals = ("OpenVINO does not support", "not supported", "No conversion rule found")

# By default it computes in bfloat16 where the CPU can, which is twice as fast and off by 0.08 of a logit here.
PRECISION = "f32"


def start(threads):
    # its Python package looks for a telemetry package, which this environment does not hold
    import openvino  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    import numpy as np
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path / "model.xml" if path.suffix == ".openvino" else path))
    properties = {"INFERENCE_PRECISION_HINT": PRECISION, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    shape = model.inputs[0].partial_shape
    takes_any, requests = shape.is_dynamic, {}

    def request(batch):
        # an .onnx file takes any batch, and kernels for any are slower than those for one
        if batch not in requests:
            if takes_any:
                shape[0] = batch
                model.reshape(shape)
            requests[batch] = _compiled(core, model, properties).create_infer_request()
        return requests[batch]

    request(1 if takes_any else shape[0].get_length())

    def infer(native):
        inference = request(len(native))
        inference.infer([native], share_inputs=True)
        return np.array(inference.get_output_tensor(0).data)

    return infer


def _compiled(core, model, properties):
    """Compile a model for one thread in float32; raises RuntimeError where OpenVINO takes something else."""
    compiled = core.compile_model(model, "CPU", properties)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    used = compiled.get_property("INFERENCE_NUM_THREADS"), compiled.get_property("NUM_STREAMS")
    if (precision, used) != (PRECISION, (properties["INFERENCE_NUM_THREADS"], 1)):
        raise RuntimeError(f"asked for {properties}, OpenVINO takes {precision} and (threads, streams) {used}")
    return compiled
