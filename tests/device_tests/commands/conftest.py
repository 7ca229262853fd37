"""Commands as they are typed, with the folders of a test."""

import pytest

from device_tests.__main__ import group
from tests.device_tests.conftest import ID

LIMITS = '[[budget]]\nids = ["*"]\nmetric = "outcome"\nis = "{}"\nwhy = "because"\n'


@pytest.fixture
def command(folders, tmp_path):
    """Return a function that types a command with this test's folders and returns its exit code."""
    budgets = tmp_path / "budgets.toml"
    budgets.write_text(LIMITS.format("ok"))

    def type_in(name: str, *arguments: str) -> int:
        places = {"artifacts": folders.bench.artifacts, "results": folders.bench.results}
        places |= {"budgets": budgets} if name in ("run", "check") else {}
        options = [part for place, path in places.items() for part in (f"--{place}", str(path))]
        return group.main([name, *options, *arguments], standalone_mode=False) or 0

    return type_in


@pytest.fixture
def ran(folders, command):
    """The function that types commands, after a run of the one artifact on a runtime that works."""
    folders.runtime("honest")
    assert command("run", "--only", ID) == 0
    return command
