"""TensorFlow: its TFLite interpreter, SavedModels, and Keras' bare networks as the row to compare with."""

import os

suffixes = (".tflite", ".savedmodel", ".safetensors", ".keras", ".h5")
eager = "keras"
distributions = ("tensorflow-cpu", "keras")
refusals = ("Didn't find op for builtin opcode", "unresolved custom op", "Op type not registered")


def start(threads):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf.config.threading.get_intra_op_parallelism_threads()


def load(path, threads):
    return {".tflite": _interpreter, ".savedmodel": _signature}.get(path.suffix, _network)(path, threads)


def _interpreter(path, threads):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path), num_threads=threads)
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


def _signature(path, threads):
    import tensorflow as tf

    # as TensorFlow Serving does: the highest of the folder's versions, by its signature
    version = max((folder for folder in path.iterdir() if folder.name.isdigit()), key=lambda folder: int(folder.name))
    model = tf.saved_model.load(str(version))
    signature = model.signatures["serving_default"]
    (image,) = signature.structured_input_signature[1]
    (logits,) = signature.structured_outputs

    def infer(native, model=model):  # which must live as long as its function
        return signature(**{image: tf.constant(native)})[logits].numpy()

    return infer


def _network(path, threads):
    from models import deployed  # the networks' own code: the one thing here that is not on a device

    network = deployed.open_file(path)
    return lambda native: network(native, training=False).numpy()
