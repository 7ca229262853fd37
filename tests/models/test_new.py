"""The folder to begin with."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models import deployed, networks
from models.common import environments
from models.common.errors import DataError, EnvironmentMissing, UsageError
from models.new import command


def new(folder: Path, name: str = "a", framework: str = "torch") -> Result:
    return CliRunner().invoke(command, [name, "--from", framework, "--folder", str(folder)])


@pytest.mark.parametrize(("name", "error"), [("a-b", UsageError), ("a", EnvironmentMissing)])
def test_a_name_that_cannot_be_in_an_id_is_refused_as_is_any_without_the_exporters(tmp_path, monkeypatch, name, error):
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "none"))
    assert isinstance(new(tmp_path / "new", name).exception, error)
    assert not (tmp_path / "new").exists()


def test_nothing_that_is_there_is_replaced(tmp_path):
    (tmp_path / "mine").write_text("mine")
    assert "nothing in it is replaced" in str(new(tmp_path, framework="keras").exception)


def test_a_script_that_fails_is_one_sentence(tmp_path, monkeypatch):
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho 'ImportError: no torch' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(environments, "python", lambda name, install: failing)
    result = new(tmp_path / "new")
    assert isinstance(result.exception, DataError)
    assert str(result.exception).endswith("failed: ImportError: no torch")


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_folder_holds_a_network_that_can_be_deployed(tmp_path, monkeypatch, framework):
    monkeypatch.setattr(environments, "python", lambda name, install: sys.executable)
    result = new(tmp_path / "new", "first", framework)
    assert result.exit_code == 0, result.exception
    assert "nox -s pipeline -- --models" in result.output
    monkeypatch.setenv(networks.VARIABLE, str(tmp_path / "new"))
    assert networks.names() == ("first",)
    network = deployed.get("first")
    assert network.framework == framework
    assert len(network.evaluation()[0]) == 500
    assert len(network.training()) == 1_297
    assert network.labels(10) == tuple("0123456789")
