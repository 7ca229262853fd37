"""The folder to begin with."""

import sys
from pathlib import Path

import pytest

from models import deployed, networks
from models.common import environments
from models.common.errors import DataError, EnvironmentMissing, UsageError
from models.new import command
from tests import programs


def new(folder: Path, name: str = "a", framework: str = "torch") -> None:
    command.main([name, "--from", framework, "--folder", str(folder)], standalone_mode=False)


@pytest.mark.parametrize(("name", "error"), [("a-b", UsageError), ("a", EnvironmentMissing)])
def test_a_name_that_cannot_be_in_an_id_is_refused_as_is_any_without_the_exporters(tmp_path, monkeypatch, name, error):
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "none"))
    with pytest.raises(error):
        new(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_nothing_that_is_there_is_replaced_and_a_script_that_fails_is_one_sentence(tmp_path, monkeypatch):
    failing = programs.script(tmp_path / "python", "echo 'ImportError: no torch' >&2; exit 1")
    with pytest.raises(UsageError, match="nothing in it is replaced"):
        new(tmp_path, framework="keras")
    monkeypatch.setattr(environments, "python", lambda name, install: failing)
    with pytest.raises(DataError, match="failed: ImportError: no torch$"):
        new(tmp_path / "new")


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_folder_holds_a_network_that_can_be_deployed(tmp_path, monkeypatch, framework, capsys):
    monkeypatch.setattr(environments, "python", lambda name, install: sys.executable)
    new(tmp_path / "new", "first", framework)
    assert "nox -s pipeline -- --models" in capsys.readouterr().out
    monkeypatch.setenv(networks.VARIABLE, str(tmp_path / "new"))
    assert networks.names() == ("first",)
    network = deployed.get("first")
    assert network.framework == framework
    assert len(network.evaluation()[0]) == 500
    assert len(network.training()) == 1_297
    assert network.labels(10) == tuple("0123456789")
