"""The pool that every run of many cells uses: threads that work side by side, until the end or until an interrupt."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_all(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    ended: Callable[[Result], None],
    *,
    sizes: Mapping[str, int],
    host: Callable[[Item], str] = lambda item: "",
    cancel: Callable[[], None] = lambda: None,
) -> None:
    """Call `work` for each item in a thread, and `ended` in this thread with each result as it comes.

    `sizes` holds the threads per host, "" where there is one host only; `host` names the host of an item. Where `work`
    or `ended` raises, and at Ctrl-C, no further item begins, and `cancel` must end what is running.
    """
    with ExitStack() as stack:
        pools = {name: stack.enter_context(ThreadPoolExecutor(size)) for name, size in sizes.items()}
        futures = [pools[host(item)].submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                ended(future.result())
        except BaseException:
            for pool in pools.values():
                pool.shutdown(wait=False, cancel_futures=True)
            cancel()
            raise
