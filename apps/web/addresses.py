"""The addresses to serve at: which a host means, which this machine has, and why one cannot be taken."""

import errno
import socket
from contextlib import suppress

from models.common.errors import EdgewiseError, UsageError

LOOPBACK, ALL = "127.0.0.1", "0.0.0.0"
PORTS_TO_TRY = 20  # after a taken one
CHOICE = f"--host {LOOPBACK} (only this machine reaches it) or --host {ALL} (its whole network does)"


def resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple]:
    """Return a host's family and address to listen on; raises UsageError for a host that has none."""
    try:
        candidates = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # ValueError: a name that no name server could be asked for
        msg = (
            f"The host {_short(host)} has no address, so nothing can listen there. Name one of this machine: {CHOICE}."
        )
        raise UsageError(msg) from error
    family, *_, address = min(candidates, key=lambda one: one[0] != socket.AF_INET)  # phones' browsers all speak IPv4
    return family, address


def refusal(host: str, family: int, address: tuple, error: OSError) -> EdgewiseError:
    """Return what to tell a person for an address that cannot be listened on."""
    port = address[1]
    if error.errno == errno.EADDRINUSE:
        free = _free_port(family, address)
        msg = f"Port {port} of {_short(host)} is taken by another program. Take a free one: --port {free}"
        return EdgewiseError(msg)
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"The host {_short(host)} is no address of this machine. Name one that is: {CHOICE}.")
    if error.errno in (errno.EACCES, errno.EPERM) and port < 1024:
        return EdgewiseError(f"Port {port} is kept for the system's own services. Take one from 1024 on: --port 8000")
    return EdgewiseError(
        f"Nothing can listen at port {port} of {_short(host)} ({error.strerror}). Choose others with --host and --port."
    )


def _free_port(family: int, address: tuple) -> int:
    """Return the next port that is free; 0, which takes any, where none of the next ones is."""
    host, port, *rest = address
    for candidate in range(port + 1, min(port + 1 + PORTS_TO_TRY, 1 << 16)):
        with socket.socket(family, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind((host, candidate, *rest))
            return candidate
    return 0


def _short(host: str) -> str:
    return repr(host if len(host) <= 60 else f"{host[:57]}...")


def own() -> str:
    """Return this machine's address in its local network; the loopback's where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation; UDP sends nothing until it is asked to
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]
