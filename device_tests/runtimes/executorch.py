"""ExecuTorch's portable library with its XNNPACK delegate, as the wheel holds them."""

suffixes = (".pte",)
eager = ""
distributions = ("executorch", "torch")
refusals = ("0x14", "0x21")  # OperatorMissing; DelegateInvalidCompatibility


def start(threads):
    import torch

    torch.set_num_threads(1)  # only its libraries are used; its own threads would stand by
    # not through portable_lib.py, which imports the exporter and all that it needs
    from executorch.extension.pybindings import _portable_lib

    _portable_lib._unsafe_reset_threadpool(threads)
    return _portable_lib._threadpool_get_thread_count()


def load(path, threads):
    import torch
    from executorch.extension.pybindings import _portable_lib

    module = _portable_lib._load_for_executorch(str(path))
    module.method_meta("forward")  # the file is read lazily: this names one that holds no such method
    return lambda native: module.forward((torch.from_numpy(native),))[0].numpy()
