"""Serves the site, with the headers that it needs, to a bounded number of connections that may not linger."""

import hashlib
import ipaddress
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from apps.web import addresses
from apps.web.build import COMPRESSIONS

CONNECTIONS = 64  # at once, each with a thread: a browser opens six
REQUEST_S = 5.0  # for a whole request to arrive on a free connection; also how long a connection may idle
RESPONSE_S = 30.0  # for a client to take a response, plus its size divided by
LEAST_BYTES_PER_S = 20_000  # the slowest network
LINGER_S = 1.0  # for a refused client to read the reason
ROOM_S = 0.5  # for a connection that was ended to free its thread

ENCODINGS = {".br": "br", ".gz": "gzip"}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-cache",  # cached, but checked each time, so that a new export is seen at once
    "Cross-Origin-Embedder-Policy": "require-corp",  # with the next, timers tick at 5 µs instead of 100
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page, where any host serves it
    "Vary": "Accept-Encoding",
}


@dataclass(kw_only=True)
class _Connection:
    """An open connection: until when (time.monotonic) it may go on, and whether it waits for a request."""

    deadline: float
    waiting: bool = True


class Site(ThreadingHTTPServer):
    """A folder of files on a port; only regular files inside it are served, whatever a request or a link says.

    At most CONNECTIONS are open: for one more, that which has waited longest for a request is ended. Raises UsageError
    for a host that is none of this machine, EdgewiseError for a port that cannot be taken.
    """

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder = folder
        self._open: dict[socket.socket, _Connection] = {}
        self._changed = threading.Condition()
        self.address_family, address = addresses.resolved(host, port)
        try:
            super().__init__(address, _Request)
        except OSError as error:
            raise addresses.refusal(host, self.address_family, address, error) from error

    def server_bind(self) -> None:
        """Bind without asking for this machine's name, which takes seconds where no name server answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request: socket.socket, client_address: object) -> None:
        """Give a connection its thread, once there is room for it."""
        with self._changed:
            if len(self._open) >= CONNECTIONS:
                self._end_longest_waiting()
                self._changed.wait_for(lambda: len(self._open) < CONNECTIONS, ROOM_S)
            if len(self._open) >= CONNECTIONS:
                request.settimeout(LINGER_S)
                with suppress(OSError):
                    request.send(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                self.shutdown_request(request)
                return
            self._open[request] = _Connection(deadline=time.monotonic() + REQUEST_S)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        """Close a connection, which makes room for another."""
        with self._changed:
            self._open.pop(request, None)
            self._changed.notify()
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End what has taken too long; called twice a second."""
        now = time.monotonic()
        with self._changed:
            for request, connection in self._open.items():
                if connection.deadline < now:
                    _end(request)

    def server_close(self) -> None:
        """Stop listening and end every connection."""
        super().server_close()
        with self._changed:
            for request in self._open:
                _end(request)

    def allow(self, request: socket.socket, seconds: float, *, waiting: bool) -> None:
        """Let a connection go on for so long, waiting for a request or being answered."""
        with self._changed:
            if connection := self._open.get(request):
                connection.deadline, connection.waiting = time.monotonic() + seconds, waiting

    def _end_longest_waiting(self) -> None:
        waiting = [(connection.deadline, request) for request, connection in self._open.items() if connection.waiting]
        if waiting:
            _end(min(waiting, key=lambda one: one[0])[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Print an error in one line, unless the browser just closed the connection, as a closed tab does."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            sys.stderr.write(f"A request failed: {type(error).__name__}: {error}\n")

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def is_private(self) -> bool:
        """Tell whether only this machine reaches it."""
        return ipaddress.ip_address(self.server_address[0]).is_loopback

    @property
    def is_local(self) -> bool:
        """Tell whether this machine's own browsers, and phones over USB, reach it as localhost."""
        return self.is_private or ipaddress.ip_address(self.server_address[0]).is_unspecified

    @property
    def url(self) -> str:
        """Return the address to open: on this machine alone, or from any other in its network."""
        if self.is_private:
            return f"http://localhost:{self.port}/"
        host = self.server_address[0]
        reached = addresses.own() if ipaddress.ip_address(host).is_unspecified else f"[{host}]" if ":" in host else host
        return f"http://{reached}:{self.port}/"

    def find(self, path: str) -> Path | None:
        """Return the file that a request's path names; None where it is no regular file inside the folder.

        Links are followed inside the folder only. Nothing is decoded: no file of the site has a name that needs it.
        """
        names = path.removeprefix("/").split("/") if path != "/" else ["index.html"]
        # hidden files are no part of a site; `..` begins with a dot as well, and Windows takes the others for more
        if not path.startswith("/") or any(
            not name or name.startswith(".") or set(name) & set("\\:") for name in names
        ):
            return None
        try:
            file = self.folder.joinpath(*names).resolve(strict=True)
            inside = file.is_relative_to(self.folder.resolve(strict=True))
            return file if inside and file.is_file() else None
        except (OSError, ValueError, RuntimeError):  # not there, too long, a NUL in it, links in a circle
            return None


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def handle_one_request(self) -> None:
        self.server.allow(self.connection, REQUEST_S, waiting=True)
        super().handle_one_request()

    def do_GET(self) -> None:
        self._respond(body=True)

    def do_HEAD(self) -> None:
        self._respond(body=False)

    def _respond(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.allow(self.connection, RESPONSE_S, waiting=False)
        try:
            content, encoding = self._content(path)
        except OSError:  # not there or not readable; a new build may have taken it away just now
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self.server.allow(self.connection, RESPONSE_S + len(content) / LEAST_BYTES_PER_S, waiting=False)
        fresh = self.headers.get("If-None-Match") == tag
        type_ = TYPES.get(Path(path if path != "/" else "index.html").suffix, "application/octet-stream")
        headers = {**HEADERS, "ETag": tag, "Content-Type": type_}
        if encoding:
            headers["Content-Encoding"] = encoding
        if not fresh:
            headers["Content-Length"] = str(len(content))
        self._send(HTTPStatus.NOT_MODIFIED if fresh else HTTPStatus.OK, headers, content if body and not fresh else b"")

    def _content(self, path: str) -> tuple[bytes, str]:
        """Return what a path names, compressed where the client takes that, and how; raises OSError for nothing."""
        file = self.server.find(path)
        if file is None or Path(path).suffix in COMPRESSIONS:
            raise FileNotFoundError
        accepted = {part.partition(";")[0].strip() for part in self.headers.get("Accept-Encoding", "").split(",")}
        for suffix, encoding in ENCODINGS.items():
            beside = self.server.find(f"{path if path != '/' else '/index.html'}{suffix}")
            if encoding in accepted and beside:
                return beside.read_bytes(), encoding
        return file.read_bytes(), ""

    def _send(self, status: HTTPStatus, headers: dict[str, str], content: bytes) -> None:
        # a body that nobody reads would be taken for the next request
        if self.close_connection or self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            headers = {**headers, "Connection": "close"}  # send_header heeds it as well
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in plain text; after anything but a file that is not there the connection ends."""
        unknown = code == HTTPStatus.NOT_IMPLEMENTED  # how the base class refuses methods
        status = HTTPStatus.METHOD_NOT_ALLOWED if unknown else HTTPStatus(code)
        content = f"{status.value} {status.phrase}\n".encode()
        headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(content))}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET, HEAD"
        if status != HTTPStatus.NOT_FOUND:
            self.close_connection = True
        self.log_error("%s %s: %r", status.value, status.phrase, self.requestline[:80])
        if not hasattr(self, "headers"):  # the request broke off before them
            self.headers = self.MessageClass()
        self._send(status, headers, b"" if self.command == "HEAD" else content)

    def finish(self) -> None:
        """Read what the client still sends, for a moment: else the system resets the connection and the answer is lost."""
        super().finish()
        self.server.allow(self.connection, LINGER_S, waiting=True)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(1 << 16):
                pass

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of good requests; send_error's own line tells of the others."""

    def log_error(self, format: str, *arguments: object) -> None:
        super().log_message(format, *arguments)


def _end(request: socket.socket) -> None:
    """Wake the thread that reads from or writes to a connection: it finds its end."""
    with suppress(OSError):  # it has ended already
        request.shutdown(socket.SHUT_RDWR)
