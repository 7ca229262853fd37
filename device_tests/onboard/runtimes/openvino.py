"""OpenVINO on its CPU plugin, with its own files and with .onnx ones."""

suffixes = (".openvino", ".onnx")
eager = ""
distributions = ("openvino",)
refusals = ("OpenVINO does not support", "not supported", "No conversion rule found")

# By default it computes in bfloat16 where the CPU can, which is twice as fast and off by 0.08 of a logit here.
PRECISION = "f32"


def start(threads):
    # its Python package looks for a telemetry package, which this environment does not hold
    import openvino  # noqa: F401


def load(path, threads):
    import numpy as np
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path / "model.xml" if path.suffix == ".openvino" else path))
    shape = model.inputs[0].partial_shape
    if shape.is_dynamic:  # an .onnx file takes any batch, and kernels for any are slower
        shape[0] = 1
        model.reshape(shape)
    wanted = {"INFERENCE_PRECISION_HINT": PRECISION, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = core.compile_model(model, "CPU", wanted)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    used = compiled.get_property("INFERENCE_NUM_THREADS"), compiled.get_property("NUM_STREAMS")
    if (precision, used) != (PRECISION, (threads, 1)):
        raise RuntimeError(f"asked for {wanted}, OpenVINO takes {precision} and (threads, streams) {used}")
    request = compiled.create_infer_request()
    output = request.get_output_tensor(0)

    def infer(native):
        request.infer([native], share_inputs=True)
        return np.array(output.data)

    return infer
