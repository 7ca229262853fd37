"""LiteRT's Interpreter, as ai-edge-litert ships it: XNNPACK is its default delegate."""

suffixes = (".tflite",)
eager = ""
distributions = ("ai-edge-litert",)
refusals = ("Didn't find op for builtin opcode", "unresolved custom op", "Unsupported data type")


def start(threads):
    import ai_edge_litert.interpreter  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    any_batch, size = interpreter.get_input_details()[0]["shape_signature"][0] == -1, 1
    logits = interpreter.get_output_details()[0]["index"]

    def infer(native):
        interpreter.set_tensor(image, native)
        interpreter.invoke()
        return interpreter.get_tensor(logits)

    def resized(native):
        nonlocal size
        if len(native) != size:
            size = len(native)
            interpreter.resize_tensor_input(image, native.shape)
            interpreter.allocate_tensors()
        return infer(native)

    return resized if any_batch else infer
