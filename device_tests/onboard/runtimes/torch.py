"""PyTorch: TorchScript, the lite interpreter's files, and PyTorch's bare networks as the row to compare with."""

from contextlib import ExitStack

suffixes = (".pt", ".ptl", ".safetensors", ".pt2")
eager = "torch"
distributions = ("torch",)
refusals = ("Unknown builtin op", "unsupported bytecode version", "Following ops cannot be found")
mode = ExitStack()  # entered once: to enter it for each inference would take 1 % of its time


def start(threads):
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    mode.enter_context(torch.inference_mode())
    return torch.get_num_threads()


def load(path, threads):
    import torch

    if path.suffix == ".ptl":
        from torch.jit.mobile import _load_for_lite_interpreter

        network = _load_for_lite_interpreter(str(path))
    elif path.suffix in (".safetensors", ".pt2"):
        from models import deployed  # the networks' own code: the one thing here that is not on a device

        network = deployed.open_file(path)
    else:
        network = torch.jit.load(str(path), map_location="cpu").eval()

    return lambda native: network(torch.from_numpy(native)).numpy()
