"""What `python -m apps.web` refuses, before anything is installed or built."""

import re
import socket

import pytest
from click.testing import CliRunner

from apps.web import __main__ as command
from apps.web import packages
from models.common import files
from models.common.errors import EdgewiseError
from tests.apps.web.conftest import INT8, ONNX


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs the command in an empty folder and gives its exit code and all that it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(packages, "install", lambda: pytest.fail("npm was asked before the arguments were looked at"))
    monkeypatch.setattr(command, "_require_environment", lambda: None)

    def run_it(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(command.web, list(arguments))
        if isinstance(done.exception, EdgewiseError):
            return done.exception.exit_code, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join(done.output.split())

    return run_it


FOLDERS = ("artifacts", "results", "dist")
BAD_VALUES = (
    *((option, value, r"the \w+ is empty") for option in (*FOLDERS, "only", "host") for value in ("", "  ")),
    *((option, value, ".*is a file") for option in FOLDERS for value in ("file", "file/below")),
    *((option, value, ".*File name too long") for option in FOLDERS for value in ("x" * 300, "x" * 300 + "/y")),
    ("dist", "ä" * 150, ".*File name too long"),
    *(("port", value, "") for value in ("-1", "65536", "http", "1e3", "")),
)


@pytest.mark.parametrize(("option", "value", "reason"), BAD_VALUES)
def test_a_bad_value_is_refused_by_the_options_name(run, tmp_path, option, value, reason):
    (tmp_path / "file").write_text("a file")
    code, output = run("--serve", f"--{option}", value)
    assert code == 2
    assert re.search(rf"Invalid value for '--{option}': {reason}", output)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ("--port 80", 2, "--port goes with --serve only"),
        ("--host 0.0.0.0", 2, "--host goes with --serve only"),
        ("--no-build", 2, "--no-build goes with --serve only"),
        ("--serve --no-build --only *", 2, "--only has no effect"),
        ("--serve --no-build --list", 2, "--list has no effect"),
        ("--serve --no-build --dist dist", 3, "There is no site in dist"),
        ("--results nowhere", 2, "There are no results in nowhere"),
        (f"--artifacts artifacts --only {'x' * 300}", 2, "matches no artifact"),
        ("--artifacts artifacts --serve --host a..b", 2, "The host 'a..b' has no address"),
        ("--artifacts artifacts --dist home", 2, "no site of ours"),
        ("--artifacts artifacts --dist /", 2, "no site of ours"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_build(run, folder, tmp_path, arguments, code, reason):
    files.write_bytes(tmp_path / "home" / "thesis.tex", b"years")
    ended, output = run(*arguments.split())
    assert ended == code
    assert reason in output


def test_a_taken_port_is_refused_before_the_build(run, folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, output = run("--artifacts", str(folder), "--serve", "--port", str(port))
    assert (code, f"Port {port} of '127.0.0.1' is taken" in output) == (1, True)


def test_listing_needs_no_environment_of_its_own(run, folder, monkeypatch):
    monkeypatch.setattr(command, "_require_environment", lambda: pytest.fail("the list needs no compression"))
    assert run("--list", "--artifacts", str(folder)) == (0, " ".join(sorted((INT8, ONNX))))
