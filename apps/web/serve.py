"""Serves the site on the local network, with the headers that it needs."""

from __future__ import annotations

import hashlib
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from apps.web.build import COMPRESSIONS
from models import files
from models.errors import EdgewiseError

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
    "Cache-Control": "no-cache",  # kept, and asked for again: a new export is seen at once
    "Cross-Origin-Embedder-Policy": "require-corp",  # with the next, timers tick at 5 µs instead of 100
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page, where any host serves it
    "Vary": "Accept-Encoding",
}


class Site(ThreadingHTTPServer):
    """A folder of files on a port; only files that are there by name are served. Raises EdgewiseError for a taken port."""

    daemon_threads = True

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder = folder
        try:
            super().__init__((host, port), _Request)
        except OSError as error:
            msg = f"Port {port} cannot be served ({error.strerror}). Choose another one with --port."
            raise EdgewiseError(msg) from error

    def handle_error(self, request: object, client_address: object) -> None:
        """Tell of what went wrong; a browser that went away in the middle, as a closed tab does, is not that."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def listing(self) -> dict[str, Path]:
        """Every file by its path: what is not listed cannot be reached, whatever a request says."""
        found = {f"/{file.relative_to(self.folder).as_posix()}": file for file in files.members(self.folder)}
        return found | {"/": self.folder / "index.html"}


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        file = self.server.listing.get(self.path.partition("?")[0])
        if file is None or file.suffix in COMPRESSIONS:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        content, encoding = self._content(file)
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        fresh = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if fresh else HTTPStatus.OK)
        headers = {**HEADERS, "ETag": tag, "Content-Type": TYPES.get(file.suffix, "application/octet-stream")}
        if encoding:
            headers["Content-Encoding"] = encoding
        if not fresh:
            headers["Content-Length"] = str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body and not fresh:
            self.wfile.write(content)

    def _content(self, file: Path) -> tuple[bytes, str]:
        accepted = {part.partition(";")[0].strip() for part in self.headers.get("Accept-Encoding", "").split(",")}
        for suffix, encoding in ENCODINGS.items():
            compressed = file.with_name(file.name + suffix)
            if encoding in accepted and compressed.exists():
                return compressed.read_bytes(), encoding
        return file.read_bytes(), ""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of good requests; send_error's own line tells of the others."""

    def log_error(self, format: str, *arguments: object) -> None:
        super().log_message(format, *arguments)


def address() -> str:
    """Return this machine's address in its local network; the loopback's where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation; UDP sends nothing until it is asked to
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]
