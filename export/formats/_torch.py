"""How PyTorch is held to one thread, and kept from doing the same work again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
