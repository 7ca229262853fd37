"""ExecuTorch's portable library with its XNNPACK delegate, as the wheel holds them."""

suffixes = (".pte",)
eager = ""
distributions = ("executorch", "torch")
refusals = ("0x14", "0x21")  # OperatorMissing; DelegateInvalidCompatibility


def start(threads):
    import torch

    torch.set_num_threads(1)  # only its libraries are used; its own threads would be idle
    _library()._unsafe_reset_threadpool(threads)
    return _library()._threadpool_get_thread_count()


def _library():
    # not through portable_lib.py, which imports the exporter and all that it needs
    try:
        from executorch.extension.pybindings import _portable_lib
    except ImportError:  # its name since 1.5
        from executorch.extension.pybindings import _C

        return _C
    return _portable_lib


def load(path, threads):
    import torch

    module = _library()._load_for_executorch(str(path))
    module.method_meta("forward")  # the file is read lazily: this fails now for a file without the method
    return lambda native: module.forward((torch.from_numpy(native),))[0].numpy()
