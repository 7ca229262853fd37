"""What becomes of a test whose programs are missing; and that no test decides that by itself."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import programs

pytest_plugins = ["pytester"]

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
def typed(pytester, monkeypatch) -> Callable[..., str]:
    """Return a function that runs these tests with options, on a machine without any program; it gives the output."""
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems, pytest_runtest_setup")
    pytester.makepyfile(TESTS)
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: str, require: str = "") -> str:
        monkeypatch.setenv(programs.REQUIRE, require)
        return pytester.runpytest_inprocess("-rs", *options).stdout.str()

    return run


@pytest.mark.skipif(bool(programs.find("sshd")), reason="an sshd outside of the PATH is here")
def test_a_missing_program_skips_a_test_and_says_how_to_install_it(typed):
    output = typed()
    assert "needs adb: apt-get install adb" in output
    assert "needs sshd: apt-get install openssh-server" in output
    assert "1 passed, 3 skipped" in output


def test_where_everything_has_to_be_there_a_missing_program_is_a_failure(typed):
    output = typed(require="all")
    assert "EDGEWISE_TESTS_REQUIRE=all, but it needs adb: apt-get install adb" in output
    assert "EDGEWISE_TESTS_REQUIRE=all, but it needs artifacts: nox -s export" in output
    assert "skipped" not in output
    assert re.search(r"(1 failed, )?1 passed", output)


def test_needs_chooses_what_is_marked_and_what_takes_such_a_fixture(typed):
    assert "2 deselected" in typed("-m", "needs")
    assert "2/4 tests collected" in typed("-m", "needs", "--collect-only")


def test_no_test_looks_for_programs_by_itself_and_each_that_one_needs_has_a_package():
    """Else one that is skipped for want of a program is not missed where CI has installed it."""
    needed = {name for names in programs.FIXTURES.values() for name in names}
    for file in {*Path(__file__).parent.rglob("*.py")} - {Path(__file__), Path(programs.__file__)}:
        text = file.read_text()
        assert "pytest.skip(" not in text, f"{file}: use tests.programs.absent"
        assert not re.search(r"skipif\([^)]*which", text), f"{file}: use @pytest.mark.needs"
        needed |= {
            name for names in re.findall(r"mark\.needs\(([^)]*)\)", text) for name in re.findall(r'"([^"]+)"', names)
        }
    assert needed <= programs.PACKAGES.keys()
