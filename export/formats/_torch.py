"""How PyTorch is held to one thread, kept from doing the same work again, and fine-tunes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from export.schemes import QAT_LEARNING_RATE
from export.source import Source
from models.common.errors import Unsupported


@contextmanager
def one_thread() -> Iterator[None]:
    """Sum in one order whatever the machine's cores, so that calibration and fine-tuning repeat to the bit."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _recurrent(graph: Any) -> set[Any]:
    from models.frameworks._layers import RECURRENT

    return {node.target for node in graph.nodes} & {*RECURRENT}


def is_recurrent(network: Any) -> bool:
    """Tell whether a network has recurrent layers."""
    import torch

    if isinstance(network, torch.fx.GraphModule):
        return bool(_recurrent(network.graph))
    return any(isinstance(layer, torch.nn.RNNBase) for layer in network.modules())


def unrolled(program: Any) -> Any:
    """Return an exported program whose recurrent layers are written as dense ones, step after step."""
    from torch._decomp import get_decompositions

    recurrent = _recurrent(program.graph)
    return program.run_decompositions(get_decompositions(recurrent)) if recurrent else program


def fine_tune(network: Any, source: Source) -> None:
    """Train a network in place, as it is prepared for quantization, for as many steps as the options say."""
    import torch

    optimizer = torch.optim.Adam(network.parameters(), QAT_LEARNING_RATE)
    for images, labels in source.training_batches(source.options.steps):
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(images)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        gradients = [weights.grad for weights in network.parameters() if weights.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isnan():
            raise Unsupported("fine-tuning meets a gradient that is no number, as that of a root of zero")
        optimizer.step()


@contextmanager
def operators_listed_once() -> Iterator[None]:
    """Let torch.export look up PyTorch's 600 composite operators again only where there are others than before.

    It looks up each of them at every step, so that it also sees those that somebody has just registered: a tenth of the
    time of ExecuTorch's conversions.
    """
    import torch
    from torch._export import utils

    look_up = utils._materialize_cpp_cia_ops
    registered = torch._C._dispatch_get_registrations_for_dispatch_key

    def look_up_new() -> None:
        present = tuple(registered("CompositeImplicitAutograd"))
        if present not in _looked_up:
            look_up()
            _looked_up.add(present)

    utils._materialize_cpp_cia_ops = look_up_new
    try:
        yield
    finally:
        utils._materialize_cpp_cia_ops = look_up


_looked_up: set[tuple[str, ...]] = set()
