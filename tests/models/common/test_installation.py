"""What an installation leaves behind; a script stands for virtualenv, and for pip in the environment that it makes."""

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.common import environments, files, installation
from models.common.environments import ROOT
from models.common.errors import EnvironmentMissing, StorageError

# Makes an environment whose interpreter is a script: pip's behaviour in a test.
VIRTUALENV = """
import sys
from pathlib import Path
python = Path(sys.argv[1]) / "bin" / "python"
python.parent.mkdir(parents=True)
python.write_text("#!/bin/sh\\n" + {pip!r})
python.chmod(0o755)
"""
INSTALLS = """
site=$(dirname $0)/../lib/python3.11/site-packages
mkdir -p $site/alpha-1.dist-info
echo "$@" >> {log}
echo "Collecting alpha==1"
"""


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def ready(tmp_path, monkeypatch) -> Callable[..., list[str]]:
    """Return a function that installs the environment `small` by a shell script in pip's place, and tells what is shown."""
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))
    constraints = tmp_path / "small.txt"
    constraints.write_text("# pins\nalpha==1\nbeta==2\n")

    def install(pip: str = INSTALLS, pins: str = "", show: io.StringIO | None = None) -> list[str]:
        if pins:
            constraints.write_text(pins)
        command = [sys.executable, "-c", VIRTUALENV.format(pip=pip.format(log=tmp_path / "pip"))]
        monkeypatch.setattr(installation, "virtualenv", lambda home: [*command, str(home)])
        show = show or io.StringIO()
        python = installation.ready("small", constraints, logs=tmp_path / "logs", show=show)
        assert python == tmp_path / "envs" / "small" / "bin" / "python"
        return show.getvalue().splitlines()

    return install


def left(folder: Path) -> list[str]:
    """Return what an installation left in the environments' folder, but for its lock."""
    return [path.name for path in (folder / "envs").iterdir() if path.suffix != ".lock"]


def test_an_installation_is_one_line_and_is_done_again_only_when_its_constraints_change(ready, tmp_path):
    def installed() -> int:
        return (tmp_path / "pip").read_text().count("-r ")

    (line,) = ready()
    assert line.startswith("Installing 2 packages into ")
    assert re.search(r" \d+ s, 0 MB$", line)
    assert "Collecting alpha==1" in (tmp_path / "logs" / "install-small.log").read_text()
    assert installed() == 1
    assert (ready(), installed()) == ([], 1)
    ready(pins="alpha==2\n")
    assert installed() == 2
    assert left(tmp_path) == ["small"]


def test_a_terminal_sees_what_is_collected_and_installed(ready, monkeypatch):
    monkeypatch.setattr(installation, "POLL_S", 0.01)
    show = Terminal()
    ready(INSTALLS + "sleep 0.3", show=show)
    assert "\r" in show.getvalue()
    assert "1 collected, 1 installed" in show.getvalue()
    assert show.getvalue().count("\n") == 1


def test_a_failure_shows_pips_last_lines_and_leaves_nothing_that_counts_as_installed(ready, tmp_path):
    show = io.StringIO()
    with pytest.raises(installation.InstallFailed, match=r"small could not be installed.*install-small\.log\.$"):
        ready('for i in $(seq 40); do echo "line $i"; done; exit 1', show=show)
    first, *lines = show.getvalue().splitlines()
    assert first.endswith(" failed")
    assert [line.strip() for line in lines] == [f"line {i}" for i in range(26, 41)]
    assert left(tmp_path) == []
    with pytest.raises(EnvironmentMissing):
        environments.python("small", install="nox")


def test_without_a_cpu_build_of_pytorch_the_last_words_say_what_to_do(ready):
    remedy = "put the wheel of torch==2.13.0.cpu into a folder, set PIP_FIND_LINKS to that folder"
    with pytest.raises(installation.InstallFailed, match=f"^No CPU build of PyTorch was found.*{remedy}"):
        ready("exit 1", pins='torch==2.13.0+cpu ; sys_platform == "linux"\n')


def test_pytorch_comes_from_its_own_index_where_the_one_in_use_has_no_cpu_build(ready, tmp_path):
    pip = INSTALLS + 'case "$*" in *--index-url*|*-r*) exit 0;; esac; exit 1'
    ready(pip, pins="torch==2.13.0+cpu\nnumpy==2\n")
    first, second, rest = (tmp_path / "pip").read_text().splitlines()
    assert first.endswith(" torch==2.13.0+cpu")
    assert "--index-url" not in first
    assert f"--index-url {environments.TORCH_CPU_INDEX} torch==2.13.0+cpu" in second
    assert " -r " in rest


def test_ctrl_c_leaves_no_environment_and_no_process(ready, tmp_path, monkeypatch):
    process, show = tmp_path / "process", Terminal()

    def interrupted(self) -> str:
        if process.exists():
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(installation._Installation, "count", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ready(f'echo $$ > "{process}"; exec sleep 600', show=show)
    assert show.getvalue().endswith("interrupted\x1b[K\n")
    assert left(tmp_path) == []
    assert not Path("/proc", process.read_text().strip()).exists()


def test_an_environment_that_is_half_installed_is_none(ready, tmp_path):
    """As a nox that was killed leaves it."""
    ready()
    (tmp_path / "envs" / "small" / environments.UNFINISHED).touch()
    with pytest.raises(EnvironmentMissing, match=r"'small' in .* is only half installed. Install it with: nox$"):
        environments.python("small", install="nox")
    ready()
    assert environments.python("small", install="nox").exists()


def start(folder: Path) -> subprocess.Popen:
    """Start an installation in a process of its own, whose pip says that it runs and waits until it may go on."""
    pip = f'cd "{folder}"; echo run >> runs; while [ ! -e goes-on ]; do sleep 0.05; done'
    program = f"""
import sys
from pathlib import Path
from models.common import installation
command = [sys.executable, "-c", {VIRTUALENV.format(pip=pip)!r}]
installation.virtualenv = lambda home: [*command, str(home)]
installation.ready("small", Path({str(folder / "small.txt")!r}), logs=Path({str(folder / "logs")!r}))
"""
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("killed", [False, True])
def test_two_at_once_install_once_and_one_after_a_killed_nox_waits_until_its_pip_has_ended(ready, tmp_path, killed):
    """pip goes on writing into the environment; nobody may begin there before it has ended."""
    with start(tmp_path) as first:
        ends = time.monotonic() + 60
        while not (tmp_path / "runs").exists():
            assert time.monotonic() < ends
            time.sleep(0.02)
        if killed:
            os.kill(first.pid, signal.SIGKILL)
            first.wait(60)
        with start(tmp_path) as second:
            assert second.stdout.readline().startswith("Another nox is installing ")
            (tmp_path / "goes-on").touch()
            assert second.wait(60) == 0
            assert (second.stdout.read() == "") == (not killed)
        assert first.wait(60) == (-signal.SIGKILL if killed else 0)
    assert (tmp_path / "runs").read_text() == ("run\nrun\n" if killed else "run\n")
    digest = hashlib.sha256((tmp_path / "small.txt").read_bytes()).hexdigest()
    assert (tmp_path / "envs" / "small" / environments.STAMP).read_text() == digest
    assert environments.python("small", install="nox").exists()


def test_constraints_name_what_pip_would_install_and_pytorchs_build_by_system():
    report = {"install": [{"metadata": {"name": n, "version": v}} for n, v in (("torch", "2.1+cpu"), ("A_b", "1"))]}
    pins = [
        "a-b==1",
        "executorch==1",
        'torch==2.1+cpu ; sys_platform == "linux"',
        'torch==2.1 ; sys_platform != "linux"',
    ]
    assert installation.constraints(report, ["executorch==1"]).splitlines() == ["# written by: nox -s lock", *pins]


def test_a_folder_is_weighed_once_however_many_names_its_files_have(tmp_path):
    files.write_bytes(tmp_path / "inner" / "a", b"x" * 100_000)
    alone = installation.size_bytes(tmp_path)
    os.link(tmp_path / "inner" / "a", tmp_path / "b")
    assert 100_000 <= installation.size_bytes(tmp_path) == alone


@pytest.mark.parametrize("place", ["envs", "logs"])
def test_a_place_that_cannot_be_written_is_said(tmp_path, ready, place):
    (tmp_path / place).write_text("a file")
    with pytest.raises(StorageError, match=rf"Cannot write .*{place}/.*: a part of the path is a file"):
        ready()
    assert not list(tmp_path.glob("envs/small"))
