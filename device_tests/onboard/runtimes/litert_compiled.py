"""LiteRT's CompiledModel, the newer of its two interfaces, on the CPU."""

suffixes = (".tflite",)
eager = ""
distributions = ("ai-edge-litert",)
refusals = ("Didn't find op for builtin opcode", "unresolved custom op", "kLiteRtStatusErrorUnsupported")


def start(threads):
    import ai_edge_litert.compiled_model  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    import numpy as np
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.options import CpuOptions, HardwareAccelerator, Options

    cpu = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads))
    model = CompiledModel.from_file(str(path), options=cpu)
    (details,) = model.get_output_tensor_details(next(iter(model.get_signature_list()))).values()
    shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"]).type
    size = int(np.prod(shape))
    images, logits = model.create_input_buffers(0), model.create_output_buffers(0)

    def infer(native):
        nonlocal images, logits, shape, size
        if len(native) != shape[0]:  # which a file for any batch permits
            shape = (len(native), *shape[1:])
            size = int(np.prod(shape))
            model.resize_input_tensor(0, native.shape)
            images, logits = model.create_input_buffers(0), model.create_output_buffers(0)
        images[0].write(native)
        model.run_by_index(0, images, logits)
        return logits[0].read(size, dtype).reshape(shape)

    return infer
