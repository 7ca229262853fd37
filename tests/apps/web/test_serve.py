"""How the site is served: which files, to which requests, to how many clients, at which address."""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection

import pytest

from apps.web import serve
from apps.web.serve import Site
from models.common import files
from models.common.errors import EdgewiseError, UsageError
from tests.apps.web.conftest import ROOT, served
from tests.device_tests.conftest import raises

TIMEOUT_S = 20  # after which a test fails rather than hangs


@pytest.fixture
def dist(tmp_path):
    """A small site, with a file beside it that is none of it."""
    folder = tmp_path / "dist"
    files.write_bytes(folder / "index.html", b"<p>page</p>")
    files.write_bytes(folder / ".hidden", b"secret")
    files.write_bytes(folder / "app.wasm", b"wasm" * 100)
    files.write_bytes(folder / "app.wasm.gz", gzip.compress(b"wasm" * 100))
    files.write_bytes(tmp_path / "secret", b"secret")
    return folder


@pytest.fixture
def site(dist):
    with served(dist) as server:
        yield server


def ask(site, path: str, method: str = "GET", **headers):
    with closing(HTTPConnection("127.0.0.1", site.port, timeout=TIMEOUT_S)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)


def raw(site, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server ends the connection."""
    with connect(site.port) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_files_are_served_with_their_type_and_compressed_where_that_is_taken(site):
    response, content = ask(site, "/")
    assert (response.status, content) == (200, b"<p>page</p>")
    assert (response.headers.get_content_type(), response.headers.get_content_charset()) == ("text/html", "utf-8")
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    response, content = ask(site, "/app.wasm", **{"Accept-Encoding": "br, gzip"})
    assert (response.headers["Content-Type"], response.headers["Content-Encoding"]) == ("application/wasm", "gzip")
    assert gzip.decompress(content) == b"wasm" * 100
    response, content = ask(site, "/app.wasm", **{"Accept-Encoding": "identity"})
    assert (response.headers["Content-Encoding"], content) == (None, b"wasm" * 100)


def test_what_has_not_changed_is_not_sent_again_and_what_a_new_build_added_is_served_at_once(site):
    tag = ask(site, "/")[0].headers["ETag"]
    response, content = ask(site, "/", **{"If-None-Match": tag})
    assert (response.status, content) == (304, b"")
    assert ask(site, "/new.txt")[0].status == 404
    (site.folder / "new.txt").write_text("new")
    assert ask(site, "/new.txt")[0].status == 200


def test_a_head_request_gets_the_headers_alone(site):
    response, content = ask(site, "/app.wasm", "HEAD")
    assert (response.status, response.headers["Content-Length"], content) == (200, "400", b"")
    assert ask(site, "/none", "HEAD")[0].status == 404


HOSTILE = {
    "a parent folder": b"/../secret",
    "encoded": b"/%2e%2e/secret",
    "encoded slash": b"/..%2fsecret",
    "backslash": b"/..\\secret",
    "two slashes": b"//secret",
    "nothing": b"/none",
    "a folder": b"/.",
    "behind a file": b"/index.html/x",
    "slash after a file": b"/index.html/",
    "a compressed copy": b"/app.wasm.gz",
    "NUL": b"/index.html\0.png",
    "encoded NUL": b"/index.html%00",
    "no ASCII": b"/%ff%fe",
    "another host": b"http://example.org/secret",
    "no slash": b"index.html",
    "hidden": b"/.hidden",
    "another drive": b"/C:index.html",
    "a long name": b"/" + b"a" * 5_000,
    "a long path": b"/a" * 5_000,
}


@pytest.mark.parametrize("path", HOSTILE.values(), ids=HOSTILE)
def test_nothing_but_the_site_is_served(site, path, capfd):
    response = raw(site, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in response
    assert "Traceback" not in capfd.readouterr().err


def test_what_is_no_request_is_refused_in_plain_text(site, capfd):
    refusal = raw(site, b"\x16\x03\x01\x02\x00 what a browser sends for https \x00 \r\n\r\n")
    assert b"400 Bad Request" in refusal
    assert b"Content-Type: text/plain" in refusal
    assert raw(site, b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").startswith(b"HTTP/1.1 501 ")
    assert ask(site, "/none")[1] == b"404 Not Found\n"
    assert re.fullmatch(r"127\.0\.0\.1 - - \[.+\] 404 Not Found: 'GET /none HTTP/1\.1'\n", capfd.readouterr().err)


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND"])
def test_other_methods_are_not_allowed_and_a_body_is_no_request(site, method):
    inner = b"GET / HTTP/1.1\r\n\r\n"
    request = b"%s / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (method, len(inner), inner)
    response = raw(site, request)
    assert response.count(b"HTTP/1.1") == 1
    assert response.startswith(b"HTTP/1.1 405 ") == (b"Allow: GET, HEAD\r\n" in response) == (method != b"GET")
    assert response.endswith(b"<p>page</p>" if method == b"GET" else b"405 Method Not Allowed\n")


def test_links_are_followed_inside_the_site_only_and_what_is_no_regular_file_is_not_opened(site, tmp_path):
    files.write_bytes(site.folder / "folder" / "page.html", b"in a folder")
    links = (("alias", "index.html"), ("other", "folder"), ("leak", "../secret"), ("up", ".."), ("circle", "circle"))
    for name, target in (*links, ("gone", "no")):
        (site.folder / name).symlink_to(target)
    os.mkfifo(site.folder / "pipe")
    assert ask(site, "/alias")[1] == b"<p>page</p>"
    assert ask(site, "/other/page.html")[1] == b"in a folder"
    for name in ("app.wasm.gz", "index.html"):
        (site.folder / name).unlink()
        (site.folder / name).symlink_to(tmp_path / "secret")
    for path in ("/leak", "/up/secret", "/circle", "/gone", "/pipe", "/folder", "/app.wasm", "/"):
        response, content = ask(site, path, **{"Accept-Encoding": "gzip"})
        assert (response.status, content) == (404, b"404 Not Found\n")


def test_a_site_that_is_itself_reached_by_a_link_is_served(dist, tmp_path):
    (tmp_path / "link").symlink_to(dist)
    with served(tmp_path / "link") as site:
        assert ask(site, "/")[1] == b"<p>page</p>"


def test_three_hundred_idle_connections_keep_nobody_out_and_take_no_threads(site):
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(site.port))
        assert ask(site, "/")[0].status == 200
        assert threading.active_count() < 50


def test_idle_connections_make_room_for_others(dist, monkeypatch, capfd):
    monkeypatch.setattr(serve, "SERVER", serve.SERVER | {"connection_limit": 6, "channel_timeout": 1})
    with served(dist) as site, ExitStack() as stack:
        idle = [stack.enter_context(connect(site.port)) for _ in range(8)]
        idle[0].sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        assert idle[0].recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        assert ask(site, "/")[0].status == 200
        assert [one.recv(1) for one in idle] == [b""] * 8
    assert capfd.readouterr().err == ""  # browsers leave connections idle all the time


def test_clients_that_take_no_answer_or_send_no_whole_request_hold_no_thread_and_are_ended(dist, monkeypatch):
    (dist / "large.bin").write_bytes(bytes(30_000_000))  # more than the system's buffers hold
    monkeypatch.setattr(serve, "SERVER", serve.SERVER | {"threads": 1, "channel_timeout": 1})
    with served(dist) as site, connect(site.port) as deaf, connect(site.port) as slow:
        deaf.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n" * 2)
        assert deaf.recv(1) == b"H"  # it is being answered
        assert ask(site, "/")[0].status == 200
        with suppress(ConnectionError):
            for _ in range(TIMEOUT_S * 20):
                slow.sendall(b"X")
                threading.Event().wait(0.05)
            pytest.fail("a request may trickle in for ever")
        with connect(site.port) as later:
            assert later.recv(1) == b""
        assert not site._server.active_channels


def test_ctrl_c_ends_it_at_once_with_connections_open(dist):
    command = [sys.executable, "-m", "apps.web", "--serve", "--no-build", "--port", "0", "--dist", str(dist)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process, ExitStack() as stack:
        start = "".join(process.stdout.readline() for _ in range(3))
        port = int(re.search(r"http://localhost:(\d+)/ until Ctrl-C", start).group(1))
        for request in (b"", b"GET / HTTP/1.1\r\n", b"GET /index.html HTTP/1.1\r\n\r\n"):
            one = stack.enter_context(connect(port))
            one.sendall(request)
        assert one.recv(1 << 16).startswith(b"HTTP/1.1 200 ")  # so the others have been accepted as well
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output, errors) == (0, "Stopped.\n", "")
    assert "Only this machine can reach it; for a phone in the same network: --host 0.0.0.0" in start


@pytest.mark.parametrize(("host", "given"), [("0.0.0.0", "192.0.2.7"), ("::", "192.0.2.7"), ("127.0.0.1", "localhost")])
def test_a_phone_is_given_the_machines_own_address(dist, monkeypatch, host, given):
    monkeypatch.setattr("apps.web.addresses.own", lambda: "192.0.2.7")
    with closing(Site(dist, host, 0)) as site:
        assert (site.url, site.is_local) == (f"http://{given}:{site.port}/", True)
        assert site.is_private is (given == "localhost")
        connect(site.port).close()


def test_a_taken_port_names_itself_and_a_free_one(site):
    with pytest.raises(EdgewiseError, match=rf"Port {site.port} of '127.0.0.1' is taken by another program") as caught:
        Site(site.folder, "127.0.0.1", site.port)
    free = int(re.search(r"--port (\d+)$", str(caught.value)).group(1))
    with closing(Site(site.folder, "127.0.0.1", free)) as other:
        assert other.port != site.port


@pytest.mark.parametrize("host", ["a..b", "a" * 300, "in\0side", "192.0.2.1", "nope.invalid"])
def test_a_host_that_is_not_this_machine_is_blamed_itself(dist, monkeypatch, host):
    if host == "nope.invalid":  # which a name server may know all the same
        unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        monkeypatch.setattr(socket, "getaddrinfo", raises(unknown))
    with pytest.raises(UsageError, match=r"The host '.*--host 127\.0\.0\.1 .* --host 0\.0\.0\.0") as caught:
        Site(dist, host, 0)
    assert len(str(caught.value)) < 300
