"""--models: a folder of one's own networks, in which everything lies by default."""

import pytest

from device_tests.__main__ import group
from device_tests.measure import runner
from models import networks
from tests.device_tests.conftest import ID, MODEL

TAKE = ("run", "report", "check", "explain", "latency", "instructions", "shipping", "compatibility", "sweep", "add")


@pytest.fixture
def own(folders, tmp_path, monkeypatch):
    """The bench as the folder of a user's network, whose artifacts were made and ran."""
    monkeypatch.setenv(networks.VARIABLE, "")  # which the option sets
    monkeypatch.setattr(runner, "LATENCY_S", 0.05)
    (tmp_path / f"{MODEL}.pt2").touch()
    folders.runtime("honest")
    typed("run", tmp_path)
    assert (tmp_path / "results" / f"{ID}@honest@desktop.json").exists()
    return tmp_path


def typed(command: str, folder, *arguments: str) -> int:
    return group.main([command, "--models", str(folder), *arguments], standalone_mode=False) or 0


@pytest.mark.parametrize("name", TAKE)
def test_every_command_that_lists_cells_or_reads_results_takes_a_folder(name):
    assert "models" in {parameter.name for parameter in group.commands[name].params}


def test_report_baseline_and_budgets_lie_beside_the_networks(own, capsys):
    assert typed("report", own) == 0
    assert (own / "report" / "index.html").exists()
    typed("check", own, "--update-baseline")
    assert (own / "baseline.json").exists()
    capsys.readouterr()
    assert typed("check", own) == 11  # most cells have no result here
    output = " ".join(capsys.readouterr().out.split())
    assert "No budgets beside the networks: only outcomes were checked." in output
    assert "1 passed, 0 failed" in output
    row = '[[budget]]\nids = ["*"]\nmetric = "agreement"\nmin = {}\nwhy = "w"\n'
    for least, tally in ((0.99, "1 passed, 0 failed"), (1.1, "0 passed, 1 failed")):
        (own / "budgets.toml").write_text(row.format(least))
        typed("check", own)
        assert tally in capsys.readouterr().out
