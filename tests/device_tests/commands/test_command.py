"""The commands as they are typed, and their exit codes; with --models everything lies in a folder of one's own networks."""

import json
from xml.etree import ElementTree

import click
import pytest

from device_tests.__main__ import group
from device_tests.commands.check import BROKEN_BUDGET, NO_EVIDENCE
from device_tests.measure import runner
from models import networks
from models.common.errors import DataError, EdgewiseError, StorageError, UsageError
from tests.device_tests.conftest import GARBAGE, ID, LIMITS, MODEL, type_in


def test_a_failing_cell_fails_the_run_and_the_check_and_ci_is_told(folders, command, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    folders.runtime("honest")
    folders.runtime("garbage", GARBAGE)
    with pytest.raises(EdgewiseError, match=r"1 of 2 cells failed unexpectedly.*\n.*@garbage@desktop: mismatch"):
        command("run", "--only", ID)
    capsys.readouterr()
    files = {name: tmp_path / "ci" / name for name in ("junit.xml", "summary.md")}
    outputs = ("--junit", str(files["junit.xml"]), "--summary", str(files["summary.md"]))
    assert command("check", *outputs) == BROKEN_BUDGET
    lines = capsys.readouterr().out.splitlines()
    (broken,) = (line for line in lines if line.startswith("fail"))
    assert f"{ID}@garbage@desktop outcome: mismatch, must be ok" in broken
    annotation = next(line for line in lines if line.startswith("::error"))
    assert annotation.startswith(f"::error file={(tmp_path / 'budgets.toml').as_posix()},line=1,title=outcome")
    suites = ElementTree.parse(files["junit.xml"]).getroot()
    tallies = [(suite.get("name"), suite.get("failures"), suite.get("skipped")) for suite in suites]
    assert tallies == [("cells", "1", "6"), ("budgets", "1", "0"), ("evidence", "1", "0")]
    assert "garbage&#64;desktop | outcome | mismatch, must be ok" in files["summary.md"].read_text()


def test_a_known_failure_fails_neither_and_is_reported_once_healed(folders, command, tmp_path, capsys):
    folders.runtime("garbage", GARBAGE)
    (tmp_path / "budgets.toml").write_text(LIMITS.format("mismatch"))
    assert command("run", "--only", ID) == 0
    assert command("check", "--only", ID) == 0
    folders.runtime("garbage")
    assert command("run", "--only", ID) == 0
    capsys.readouterr()
    assert command("check", "--only", ID) == 0
    assert "healed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("run", "--device", "desktp"), UsageError, "Did you mean desktop"),
        (("run", "--quick", "--full"), UsageError, "take one of them"),
        (("report", "--device", "nope"), UsageError, "no device called 'nope'"),
        (("check", "--device", "nope"), UsageError, "no device called 'nope'"),
        (("run", "--artifacts", "nowhere"), DataError, "nox -s export"),
        (("run", "--budgets", "nowhere.toml"), DataError, "is not there"),
        (("run", "--results", "budgets.toml/results"), StorageError, "a part of the path is a file"),
        (("run", "--results", "/proc/edgewise"), StorageError, "cannot be made"),
        (("run", "--results", "a" * 300), click.BadParameter, "too long"),
        (("report",), DataError, "nox -s device_tests"),
        (("check",), DataError, "nox -s device_tests"),
        (("check", "--junit", "a", "--summary", "./a"), UsageError, "are one file twice"),
        (("run", "--import", "page.json", "--list"), UsageError, "leave out --list"),
        (("check", "--summary", "budgets.toml"), UsageError, "are one file twice"),
    ],
)
def test_what_cannot_be_done_is_said(folders, command, tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    folders.runtime("honest")
    with pytest.raises(error, match=message):
        command(*arguments)


@pytest.fixture
def ran(folders, command):
    """The function that types commands, after a run of the one artifact on a runtime that works."""
    folders.runtime("honest")
    assert command("run", "--only", ID) == 0
    return command


def test_an_unclaimed_change_breaks_the_check_until_it_is_accepted(ran, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ran("check", "--only", ID, "--update-baseline") == 0
    assert ran("check", "--only", ID, "--baseline", "baseline.json") == 0
    assert "baseline: 1 sizes and costs as before, 0 passed, 0 failed, 0 skipped, 0 of them" in capsys.readouterr().out
    accepted = (tmp_path / "baseline.json").read_text()
    size_bytes = json.loads(accepted)["cells"][f"{ID}@honest@desktop"]["size_bytes"]
    (tmp_path / "baseline.json").write_text(accepted.replace(str(size_bytes), str(size_bytes + 100)))
    assert ran("check", "--baseline", "baseline.json") == BROKEN_BUDGET
    assert "a gain; claim it with nox -s check -- --update-baseline" in capsys.readouterr().out
    assert ran("check", "--only", ID, "--update-baseline") == 0
    assert (tmp_path / "baseline.json").read_text() == accepted
    with pytest.raises(UsageError, match="take one of them"):
        ran("check", "--update-baseline", "--baseline", "baseline.json")


def test_a_check_without_evidence_is_red(ran, tmp_path, capsys):
    assert ran("check") == NO_EVIDENCE  # one result of four cells
    out = capsys.readouterr().out
    assert "no evidence *: only 1 of 4 cells have a result that counts" in out
    assert "not enough evidence" in out
    assert ran("check", "--allow-missing") == NO_EVIDENCE  # nobody said what may be missing, and why
    budgets = tmp_path / "budgets.toml"
    budgets.write_text(budgets.read_text() + '[[missing]]\nids = ["*-int8@*", "torch_cnn-*"]\nwhy = "not made here"\n')
    assert ran("check") == NO_EVIDENCE
    assert ran("check", "--allow-missing") == 0
    budgets.write_text("")
    assert ran("check", "--only", ID) == NO_EVIDENCE
    with pytest.raises(DataError, match="There is no result of cortex-a53"):
        ran("check", "--device", "cortex-a53")
    with pytest.raises(DataError, match="no artifacts in"):
        ran("check", "--artifacts", str(tmp_path / "nowhere"))


TAKE = ("run", "report", "check", "explain", "latency", "instructions", "shipping", "compatibility", "sweep", "add")


@pytest.mark.parametrize("name", TAKE)
def test_every_command_that_lists_cells_or_reads_results_takes_a_folder(name):
    assert "models" in {parameter.name for parameter in group.commands[name].params}


def test_results_report_baseline_and_budgets_lie_beside_the_networks(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(networks.VARIABLE, "")  # which the option sets
    monkeypatch.setattr(runner, "LATENCY_S", 0.05)
    (tmp_path / f"{MODEL}.pt2").touch()
    folders.runtime("honest")
    assert type_in("run", "--models", tmp_path, "--list", "--artifacts", "nowhere") == 0
    assert f"{ID}@honest@desktop" in capsys.readouterr().out.splitlines()
    for counted in ("1 ok", "1 were current"):
        assert type_in("run", "--models", tmp_path) == 0
        assert counted in capsys.readouterr().out
    assert (tmp_path / "results" / f"{ID}@honest@desktop.json").exists()
    assert type_in("report", "--models", tmp_path) == 0
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"index.html", "report.json", "report.md"}
    type_in("check", "--models", tmp_path, "--update-baseline")
    assert (tmp_path / "baseline.json").exists()
    capsys.readouterr()
    assert type_in("check", "--models", tmp_path) == 11  # most cells have no result here
    output = " ".join(capsys.readouterr().out.split())
    assert "No budgets beside the networks: only outcomes were checked." in output
    assert "1 passed, 0 failed" in output
    row = '[[budget]]\nids = ["*"]\nmetric = "agreement"\nmin = {}\nwhy = "w"\n'
    for least, tally in ((0.99, "1 passed, 0 failed"), (1.1, "0 passed, 1 failed")):
        (tmp_path / "budgets.toml").write_text(row.format(least))
        type_in("check", "--models", tmp_path)
        assert tally in capsys.readouterr().out
