"""What the documents name exists: linked files and headings, sessions of the noxfile with their options, and files of this repository."""

import re
import shlex
from pathlib import Path

import click
import pytest

from apps.android.__main__ import android
from apps.web.__main__ import web
from device_tests.__main__ import group
from export.__main__ import command as export
from models.__main__ import command as train
from models.common.environments import ROOT
from models.new import command as new
from tests.device_tests.benchmarks.overhead import overhead
from tests.device_tests.benchmarks.releases import command as releases
from tests.device_tests.fuzz.fuzz import command as fuzz

# the changelog also names what was renamed since
DOCUMENTS = [p for p in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))) if p.name != "CHANGELOG.md"]
# what a run makes, an example that was not merged, and names that are only to be filled in
NO_FILES = re.compile(r"^(artifacts|results|report|logs|mine|apps/android/build)/|/pt2\.py$|NAME|[<*]|^\.")
FILE = re.compile(r"`([\w./<>*-]+/[\w.<>*-]+\.(?:py|md|toml|json|txt|kts|yml))`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NOX = re.compile(r"(?:\.venv/bin/)?nox (-s [^`\n]*)")
# the commands of sessions that are not called as `python -m device_tests` calls them
COMMANDS = {
    "export": export, "train": train, "new": new, "apps(web)": web, "apps(android)": android,
    "device_tests": group.commands["run"], "pipeline": group.commands["run"],
    "devices(arm64)": group.commands["sweep"], "devices(ssh)": group.commands["ssh"],
    "devices(android)": group.commands["android"].commands["phone"],
    "devices(android-vm)": group.commands["android"].commands["vm"], "fuzz": fuzz,
    "benchmarks(timing)": overhead, "benchmarks(releases)": releases, "benchmarks(rewrites)": group.commands["rewrites"],
}  # fmt: skip
OTHERS = {"tests", "slow_tests", "lint", "lock", "benchmarks"}


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request) -> Path:
    return request.param


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings_that_exist(document):
    for target in LINK.findall(document.read_text()):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def test_files_that_are_named_exist(document):
    names = [name for name in FILE.findall(document.read_text()) if not NO_FILES.search(name)]
    missing = [name for name in names if not any((ROOT / start / name).exists() for start in ("", "device_tests"))]
    assert not missing


def test_commands_name_sessions_and_options_that_exist(document, noxfile):
    for shown in NOX.findall(document.read_text()):
        _, session, *words = shlex.split(shown.partition(" && ")[0])
        name, _, parameter = session.strip(",:;.").partition("(")
        if name == "NAME":
            continue
        assert callable(getattr(noxfile, name, None)), session
        command = COMMANDS.get(session) or COMMANDS.get(name) or group.commands.get(name)
        if command is None:
            assert name in OTHERS, session
            continue
        if name == "device_tests" and parameter:
            assert parameter.removesuffix(")") in noxfile.HERE + noxfile.RUNTIMES.names(), session
        passed_on = group.commands["run"].params if command.context_settings.get("ignore_unknown_options") else ()
        options = {name for p in (*command.params, *passed_on) if isinstance(p, click.Option) for name in p.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        own = {"--test"} if session == "apps(android)" else set()  # which the noxfile understands
        assert used <= options | own | {"--", "--help"}, (session, used - options)
