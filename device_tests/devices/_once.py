"""What a device does once for all cells, such as installing a runtime."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from models.common.errors import EdgewiseError

T = TypeVar("T")


class Once(Generic[T]):
    """A function that is called once per argument, by one thread at a time: its result is kept, and so is its error."""

    def __init__(self, function: Callable[..., T]) -> None:
        self._function, self._calling = function, threading.Lock()
        self._ended: dict[tuple[Hashable, ...], Future[T]] = {}

    def __call__(self, *arguments: Hashable) -> T:
        """Return the result for these arguments, or raise the EdgewiseError that it ended with."""
        with self._calling:
            if arguments not in self._ended:
                ended: Future[T] = Future()
                try:
                    ended.set_result(self._function(*arguments))
                except EdgewiseError as error:
                    ended.set_exception(error)
                self._ended[arguments] = ended
        return self._ended[arguments].result()
