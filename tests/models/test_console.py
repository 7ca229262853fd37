"""How a command ends whose arguments only are to be looked at."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from models import console
from models.environments import ROOT


@click.command()
@click.option("--size", type=click.IntRange(0, 9), default=1)
def careful(size: int) -> None:
    console.validated()
    click.echo(f"worked on {size}")


@click.command()
def careless() -> None:
    click.echo("worked")


def ended(command: click.Command, monkeypatch, *arguments: str) -> int:
    """Return the exit code of a command that was typed."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as end:
        console.main(command)
    return end.value.code


def test_a_command_works_past_the_mark(monkeypatch, capsys):
    assert ended(careful, monkeypatch, "--size", "3") == 0
    assert capsys.readouterr().out == "worked on 3\n"


def test_where_only_arguments_are_looked_at_good_ones_end_there(monkeypatch, capsys):
    monkeypatch.setenv(console.ONLY_PARSE, "1")
    assert ended(careful, monkeypatch, "--size", "3") == 0
    assert capsys.readouterr().out == ""
    assert ended(careful, monkeypatch, "--size", "30") == 2
    assert ended(careful, monkeypatch, "--help") == 0


def test_a_command_without_the_mark_is_found_out(monkeypatch):
    monkeypatch.setenv(console.ONLY_PARSE, "1")
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(AssertionError, match="call validated"):
        console.main(careless)


@pytest.mark.parametrize("module", ["export", "models"])
def test_a_glob_that_matches_nothing_is_refused_and_a_good_one_changes_nothing(module, monkeypatch, tmp_path):
    monkeypatch.setenv(console.ONLY_PARSE, "1")
    logs = ("--logs", str(tmp_path / "logs"))
    command = (sys.executable, "-m", module, *logs, "--force", *(("--artifacts", str(tmp_path)) * (module == "export")))
    good = subprocess.run([*command, "--only", "torch_cnn_small*"], cwd=ROOT, capture_output=True, text=True)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
    typo = subprocess.run([*command, "--only", "torch_cnn_smal"], cwd=ROOT, capture_output=True, text=True)
    assert typo.returncode == 2
    assert "matches no" in typo.stderr
