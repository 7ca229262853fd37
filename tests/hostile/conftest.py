"""How many examples are drawn, the project that they begin from, and the tally at the end."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from device_tests.__main__ import group
from tests.hostile import world
from tests.hostile.cli import TALLY, typed
from tests.hostile.world import World

# `ci` draws 2,000 examples in all. The seed is fixed; what is drawn still moves with the code and with the times in records.
SHARES = {"records": 0.3, "tampered": 0.2, "arrays": 0.1, "budgets": 0.2, "command lines": 0.2}
EXAMPLES = {"ci": 2_000, "default": 100}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")


def examples(of: str) -> settings:
    """Return a property's settings: its share of the examples, no deadline (machines are busy), no database."""
    count = round(SHARES[of] * EXAMPLES.get(PROFILE, EXAMPLES["default"]))
    drawn = {"max_examples": count, "derandomize": True, "database": None, "print_blob": False}
    return settings(**drawn, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The project as its own commands left it; nobody changes it."""
    home = tmp_path_factory.mktemp("hostile")
    project = home / "untouched"
    (project / "artifacts").mkdir(parents=True)
    world.install(home)
    with pytest.MonkeyPatch.context() as patches:
        world.patch(patches, home)
        world.export(project)
        budgets = project / "budgets.toml"
        budgets.write_text("")
        run(project, "run", "--jobs", "2")
        world.page(project)
        assert run(project, "add", "page.json").code == 0
        world.extras(project)
        true = world.truth(project)
        budgets.write_text(world.budgets(true))
        green = run(project, "check", "--update-baseline")
        assert green.code == 0, green.output
        files = {p: p.read_bytes() for p in project.rglob("*") if p.is_file()}
    world.forget()  # and nothing is patched while other tests run: this fixture is the session's
    yield World(folder=project, truth=true)
    assert files == {p: p.read_bytes() for p in project.rglob("*") if p.is_file()}


def run(project: Path, *arguments: str):
    return typed(group, list(arguments), project, of="setting up")


@pytest.fixture(autouse=True)
def _patched(untouched: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    world.patch(monkeypatch, untouched.folder.parent)
    yield
    world.forget()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how often each exit code came, as a Markdown table with a line per property and one of all."""
    drawn = {name: counts for name, counts in TALLY.items() if name != "setting up"}
    if PROFILE == "default" or not drawn:
        return
    every = {**drawn, "all": sum(drawn.values(), Counter())}
    codes = sorted(every["all"])
    rows = [("property", "commands", *(f"exit {code}" for code in codes)), ("---", *["--:"] * (len(codes) + 1))]
    for name, counts in every.items():
        rows.append((name, f"{counts.total():,}", *(f"{counts[code]:,}" if counts[code] else "" for code in codes)))
    terminalreporter.section("what hostile inputs ended as")
    for row in rows:
        terminalreporter.write_line(f"| {' | '.join(row)} |")
