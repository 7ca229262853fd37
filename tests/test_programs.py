"""What becomes of a test whose programs are missing; and that no test decides that by itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).parents[1]
HOOKS = "from tests.conftest import pytest_collection_modifyitems, pytest_runtest_setup\n"
TESTS = """
import pytest
from tests import programs

@pytest.fixture
def server():
    raise AssertionError("it was started")

@pytest.mark.needs("adb")
def test_marked(): pass

def test_by_its_fixture(server): pass

def test_by_itself():
    programs.absent("needs artifacts: nox -s export")

def test_of_nothing(): pass
"""


@pytest.fixture
def typed(tmp_path):
    """Return a function that runs these tests with options, on a machine without any program; it gives the output."""
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_some.py").write_text(TESTS)

    def run(*options: str, **variables: str) -> str:
        # -S and -P would not do: the project is on the path because of pyproject's pythonpath
        command = (sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path))
        environment = {**os.environ, "PATH": str(tmp_path), "COLUMNS": "200", programs.REQUIRE: "", **variables}
        command = [*command, *options, str(tmp_path)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.stdout

    return run


@pytest.mark.skipif(bool(programs.find("sshd")), reason="an sshd outside of the PATH is here")
def test_a_missing_program_skips_a_test_and_says_how_to_install_it(typed):
    output = typed()
    assert "needs adb: apt-get install adb" in output
    assert "needs sshd: apt-get install openssh-server" in output
    assert "1 passed, 3 skipped" in output


def test_where_everything_has_to_be_there_a_missing_program_is_a_failure(typed):
    output = typed(**{programs.REQUIRE: "all"})
    assert "EDGEWISE_TESTS_REQUIRE=all, but it needs adb: apt-get install adb" in output
    assert "EDGEWISE_TESTS_REQUIRE=all, but it needs artifacts: nox -s export" in output
    assert "skipped" not in output
    assert re.search(r"(1 failed, )?1 passed", output)


def test_needs_chooses_what_is_marked_and_what_takes_such_a_fixture(typed):
    assert "2 deselected" in typed("-m", "needs")
    assert "2/4 tests collected" in typed("-m", "needs", "--collect-only")


def test_each_program_that_a_fixture_needs_has_a_package():
    assert {name for names in programs.FIXTURES.values() for name in names} <= programs.PACKAGES.keys()


def test_no_test_looks_for_programs_by_itself():
    """Else one that is skipped for want of a program is not missed where CI has installed it."""
    allowed = {"programs.py", Path(__file__).name}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        if file.name in allowed:
            continue
        text = file.read_text()
        assert "pytest.skip(" not in text, f"{file}: use tests.programs.absent"
        assert not re.search(r"skipif\([^)]*which", text), f"{file}: use @pytest.mark.needs"
        for names in re.findall(r"mark\.needs\(([^)]*)\)", text):
            literal = set(re.findall(r'"([^"]+)"', names))
            assert literal <= programs.PACKAGES.keys(), f"{file}: {literal - programs.PACKAGES.keys()} has no package"
