"""Serves the site, with the headers that it needs: waitress talks to the clients, whitenoise answers with files."""

import ipaddress
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from wsgiref.headers import Headers

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.wasyncore import close_all
from whitenoise import WhiteNoise
from whitenoise.responders import MissingFileError, StaticFile

from apps.web import addresses
from apps.web.build import COMPRESSIONS
from models.common import files

HEADERS = {
    "Cache-Control": "no-cache",  # cached, but checked each time, so that a new export is seen at once
    "Cross-Origin-Embedder-Policy": "require-corp",  # with the next, timers tick at 5 µs instead of 100
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page, where any host serves it
    "Vary": "Accept-Encoding",
}
SERVER = {
    "asyncore_use_poll": True,
    "log_socket_errors": False,  # a closed tab is one
    "ident": None,
    "threads": 8,  # for requests that have arrived whole; idle, slow and deaf clients take none
    "connection_limit": 500,  # a browser opens six
    "channel_timeout": 30,  # seconds that a request may take to arrive, a connection may idle, and a client may take no byte
    "cleanup_interval": 1,  # seconds between looking for these
    "outbuf_high_watermark": 1 << 40,  # what waits to be sent holds no thread; it is in files, not in memory
    "max_request_body_size": 1 << 16,  # nothing takes one
}


class _Connection(HTTPChannel):
    """A client's connection, which ends `channel_timeout` after the last whole request or the last byte of an answer."""

    def handle_read(self) -> None:
        since = self.last_activity
        super().handle_read()
        if self.request:  # not whole: bytes that trickle in are no sign of life
            self.last_activity = since

    def writable(self) -> bool:
        if self.will_close:  # waitress would wait for a client that takes no answer to take one
            self.handle_close()
            return False
        return super().writable()


class Site(WhiteNoise):
    """A folder of files on a port; only regular files inside it are served, whatever a request or a link says.

    Raises UsageError for a host that is none of this machine, EdgewiseError for a port that cannot be taken.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        options = {"autorefresh": True, "max_age": None, "allow_all_origins": False}
        super().__init__(_refuse, folder, add_headers_function=_add_headers, **options)
        self.folder = folder
        family, address = addresses.resolved(host, port)
        try:
            both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()  # phones speak IPv4 to `::`
            listening = socket.create_server(address, family=family, dualstack_ipv6=both)
        except OSError as error:
            raise addresses.refusal(host, family, address, error) from error
        self._host, self.port = listening.getsockname()[:2]
        self._sockets: dict[int, object] = {}
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of each request that waits for a thread
        self._server = create_server(self, map=self._sockets, sockets=[listening], **SERVER)
        self._server.channel_class = _Connection

    def run(self) -> None:
        """Answer requests until Ctrl-C, or until another thread calls `close`."""
        self._server.run()

    def close(self) -> None:
        """End every connection and `run`."""
        self._server.task_dispatcher.shutdown()
        self._server.trigger.pull_trigger(lambda: close_all(self._sockets))

    @property
    def is_private(self) -> bool:
        """Tell whether only this machine reaches it."""
        return ipaddress.ip_address(self._host).is_loopback

    @property
    def is_local(self) -> bool:
        """Tell whether this machine's own browsers, and phones over USB, reach it as localhost."""
        return self.is_private or ipaddress.ip_address(self._host).is_unspecified

    @property
    def url(self) -> str:
        """Return the address to open: on this machine alone, or from any other in its network."""
        if self.is_private:
            return f"http://localhost:{self.port}/"
        host = self._host
        reached = addresses.own() if ipaddress.ip_address(host).is_unspecified else f"[{host}]" if ":" in host else host
        return f"http://{reached}:{self.port}/"

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refuse(environ, start_response, HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return super().__call__(environ, start_response)
        except (OSError, ValueError):  # unreadable, too long, a NUL in it, or taken away just now by a new build
            return _refuse(environ, start_response)

    def find_file(self, url: str) -> StaticFile | None:
        """Return what a path names; hidden files are no part of the site, and Windows takes `:` for more than a name."""
        return None if re.search(r"/\.|:", url) else super().find_file("/index.html" if url == "/" else url)

    def get_static_file(self, path: str, url: str, stat_cache: None = None) -> StaticFile:
        """Return a regular file with its compressed copies; links are followed inside the folder only."""
        folder, places = os.path.realpath(self.folder), (path, *(path + suffix for suffix in COMPRESSIONS))
        inside = all(Path(os.path.realpath(place)).is_relative_to(folder) for place in places)
        if not inside or not os.path.isfile(path):
            raise MissingFileError(path)
        return super().get_static_file(path, url, stat_cache)


def _add_headers(headers: Headers, path: str, _: str) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
    headers["ETag"] = f'"{files.sha256(Path(path))[:32]}"'  # another build may write the same at another time


def _refuse(environ: dict, start_response: Callable, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> list[bytes]:
    """Answer in plain text, and print the request."""
    line = f"{status.value} {status.phrase}"
    request = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} {environ['SERVER_PROTOCOL']}"[:80]
    when = time.strftime("%d/%b/%Y %H:%M:%S")
    environ["wsgi.errors"].write(f"{environ['REMOTE_ADDR']} - - [{when}] {line}: {request!r}\n")
    content = f"{line}\n".encode()
    about = {"Allow": "GET, HEAD", "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(content))}
    start_response(line, [*HEADERS.items(), *about.items()])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]
