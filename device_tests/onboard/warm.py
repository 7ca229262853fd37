"""Starts a runtime once and forks a worker from it for each job: a framework takes seconds to import.

Linux only. A crash or a hang ends one worker. A worker measures the same as in a process of its own: it is forked from
a process of one thread before the runtime has loaded anything, and has the same pages of its libraries in memory.

The first argument is the descriptor of a socket. On it the program says `ready`, or it ends where no worker can be
forked from this runtime. Each message on the socket is a JSON list of the worker's arguments with four descriptors: the
worker's stdin, stdout and stderr, and one for its process number and, once it has ended, its exit code, a line each.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path

import worker  # before numpy, whose threads it forbids  # isort: skip
import numpy as np

THREADS = 1
POPULATE = 22  # MADV_POPULATE_READ, as of Linux 5.14
PRESENT = np.uint64(63)  # the bit of a pagemap's entry
MESSAGE_BYTES = 1 << 16

Pages = list  # of (address, bytes)


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    try:
        runtime = worker.started(Path(sys.argv[2]), THREADS)
        pages = file_pages()
        alike = len(os.listdir("/proc/self/task")) == 1 and populate(pages)
    except (worker.Failed, OSError, AttributeError):  # a worker in a process of its own will report the reason
        return
    if not alike:
        return
    gc.freeze()  # a collection in a worker would copy the pages that it shares with this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watching processes
    requests.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 4)
        if not message:
            return
        if not os.fork():
            requests.close()
            watch(json.loads(message), descriptors, runtime, pages)
        for descriptor in descriptors:
            os.close(descriptor)


def file_pages() -> Pages:
    """Return the pages of mapped files that this process has in memory; fork() leaves them out of the child's tables."""
    size = os.sysconf("SC_PAGE_SIZE")
    pages = []
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap, open("/proc/self/maps") as maps:
        for line in maps:
            span, rights, *_, name = line.split(maxsplit=5)
            if not name.startswith("/") or "r" not in rights:
                continue
            first, end = (int(address, 16) for address in span.split("-"))
            pagemap.seek(first // size * 8)
            present = np.frombuffer(pagemap.read((end - first) // size * 8), "<u8") >> PRESENT
            edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
            pages += [(first + int(a) * size, int(b - a) * size) for a, b in zip(edges[::2], edges[1::2])]  # noqa: B905
    return pages


def populate(pages: Pages) -> bool:
    """Bring pages into this process' tables, so that its memory is counted as a fresh process' is."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return all(madvise(address, size, POPULATE) == 0 for address, size in pages)


def watch(arguments: list, descriptors: list, runtime, pages: Pages) -> None:
    """Fork the worker, report its process number and its exit code, and end."""
    try:
        *pipes, status = descriptors
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pid = os.fork()
        if not pid:
            os.setsid()  # a group of its own, so that it can be killed with all that it started
            os.write(status, b"%d\n" % os.getpid())
            os.close(status)
            work(arguments, pipes, runtime, pages)
        for pipe in pipes:
            os.close(pipe)
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        os.write(status, b"%d\n" % (end.si_status if end.si_code == os.CLD_EXITED else -end.si_status))
        # the parent kills the worker's group once it has ended: until then no other process may get its number
        listeners = select.poll()
        listeners.register(status, 0)
        listeners.poll()  # until nobody reads any more
        os.waitpid(pid, 0)
    finally:
        os._exit(0)


def work(arguments: list, pipes: list, runtime, pages: Pages) -> None:
    """Be a worker, and end as one."""
    code = 1
    try:
        for target, pipe in enumerate(pipes):
            os.dup2(pipe, target)
            os.close(pipe)
        sys.argv[1:] = arguments
        populate(pages)
        worker.main(runtime)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # as the interpreter would print it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
