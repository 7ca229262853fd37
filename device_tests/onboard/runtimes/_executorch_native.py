"""ExecuTorch's C++ runtime with its XNNPACK delegate, as a bundle holds it: without PyTorch and its bindings."""

suffixes = (".pte",)
eager = ""
distributions = ("executorch",)
refusals = ("0x14", "0x21")  # OperatorMissing; DelegateInvalidCompatibility


def start(threads):
    return _library().edgewise_threads(threads)


def load(path, threads):
    import ctypes

    import numpy as np

    library = _library()
    module, floats = ctypes.c_void_p(), ctypes.c_size_t()
    _check(library.edgewise_load(str(path).encode(), ctypes.byref(module), ctypes.byref(floats)))

    def infer(native):
        image = np.ascontiguousarray(native, np.float32)
        logits, count = np.empty(floats.value, np.float32), ctypes.c_size_t(floats.value)
        shape = (ctypes.c_int32 * image.ndim)(*image.shape)
        size = ctypes.c_size_t(image.ndim)
        _check(library.edgewise_run(module, _data(image), shape, size, _data(logits), ctypes.byref(count)))
        return logits[: count.value].reshape(len(image), -1)

    return infer


def _library():
    import ctypes
    import importlib.util

    (folder,) = importlib.util.find_spec("executorch").submodule_search_locations
    return ctypes.CDLL(f"{folder}/lib/libedgewise.so")


def _data(array):
    import ctypes

    return array.ctypes.data_as(ctypes.c_void_p)


def _check(code):
    if code:
        raise RuntimeError(f"ExecuTorch's error {code:#x}")
