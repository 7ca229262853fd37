"""The site is written whole, from the same content to the same bytes, with npm's packages or a sentence about npm."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock
from msgspec.structs import replace

from apps.web import build, catalogue, packages
from export import artifact as artifacts
from models import files, reference
from models.errors import EdgewiseError, EnvironmentMissing, StorageError, UsageError
from tests import programs
from tests.apps.web.conftest import INT8, MODEL, ONNX

# what npm 11 prints where its registry cannot be reached
UNREACHABLE = """npm warn old lockfile
npm error code ECONNREFUSED
npm error syscall connect
npm error errno ECONNREFUSED
npm error FetchError: request to http://127.0.0.1:9/long failed, reason: connect ECONNREFUSED 127.0.0.1:9
npm error     at ClientRequest.<anonymous> (index.js:130:14)
npm error A complete log of this run can be found in: debug-0.log
"""


@pytest.fixture
def make(folder, tmp_path, monkeypatch):
    """Return a function that builds the site from the small artifacts and from packages that stand in for npm's."""
    monkeypatch.setitem(build.COMPRESSIONS, ".br", lambda content: gzip.compress(content, mtime=0))  # no brotli needed
    node_modules = tmp_path / "node_modules"
    for file in packages.shipped():
        files.write_bytes(node_modules / file, file.encode() * 50)

    def make_it(dist: Path, node_modules: Path = node_modules) -> dict[str, bytes]:
        content = catalogue.gather(folder, tmp_path / "results", ())
        build.build(dist, content, artifacts_folder=folder, node_modules=node_modules)
        return contents(dist)

    return make_it


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in files.members(folder)}


def test_two_builds_give_the_same_bytes(make, tmp_path):
    first, again, elsewhere = make(tmp_path / "a"), make(tmp_path / "a"), make(tmp_path / "deep" / "b")
    assert first == again == elsewhere
    assert {f"artifacts/{INT8}.json", f"artifacts/{ONNX}.onnx", "sw.js", "index.html.gz"} <= set(first)


def test_a_build_that_is_interrupted_anywhere_leaves_the_former_site_whole(make, folder, tmp_path, monkeypatch):
    dist = tmp_path / "dist"
    former = make(dist)
    with pytest.raises(EdgewiseError, match="is not there, though npm installed"):
        make(dist, tmp_path / "empty")
    assert contents(dist) == former

    for name in ("rename", "replace"):
        move = getattr(Path, name)

        def interrupted(self, target, move=move):
            if Path(target) == dist and not self.name.endswith(".former"):
                raise KeyboardInterrupt
            return move(self, target)

        monkeypatch.setattr(Path, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(dist)
    assert contents(dist) == former
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".") and p.is_dir()) == []


def test_a_build_that_was_killed_while_it_took_the_place_is_mended_by_the_next(make, tmp_path):
    dist = tmp_path / "dist"
    former = make(dist)
    dist.rename(tmp_path / ".dist.former")  # as far as it came
    (tmp_path / ".dist.new").mkdir()
    with suppress(EdgewiseError):
        make(dist, tmp_path / "empty")
    assert contents(dist) == former
    assert make(dist) == former
    assert not (tmp_path / ".dist.new").exists()


def test_one_folder_is_built_once_at_a_time(make, tmp_path):
    with FileLock(tmp_path / ".dist.lock"), pytest.raises(EdgewiseError, match="is under way"):
        make(tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Return a function that puts an npm of that script, and a Node.js, on an otherwise empty path."""
    home, bin = tmp_path / "web", tmp_path / "bin"
    files.write_bytes(home / "package-lock.json", b"{}")
    monkeypatch.setenv("PATH", str(bin))

    def put(content: str) -> Path:
        programs.script(bin / "node", "")
        programs.script(bin / "npm", "").write_text(content)
        return home

    return put


def test_an_npm_that_fails_gives_its_own_reason_in_one_sentence(npm):
    home = npm(f"#!/bin/sh\n/bin/cat >&2 <<'END'\n{UNREACHABLE}END\nexit 1\n")
    with pytest.raises(EdgewiseError, match="failed, reason: connect ECONNREFUSED 127.0.0.1:9. It needs") as caught:
        packages.install(home)
    assert not re.search("npm error|npm warn|\n", str(caught.value))
    assert "apt-get install nodejs npm" in str(caught.value)


def test_an_npm_that_fails_without_a_word_or_cannot_be_started_is_named(npm):
    with pytest.raises(EdgewiseError, match="failed: it said nothing"):
        packages.install(npm("#!/bin/sh\nexit 7\n"))
    with pytest.raises(EnvironmentMissing, match="cannot be started .* apt-get install nodejs npm"):
        packages.install(npm("\0not a program"))


def test_an_npm_without_node_is_told_to_need_it(npm, tmp_path):
    home = npm("#!/usr/bin/env node\n")
    (tmp_path / "bin" / "node").unlink()
    with pytest.raises(EnvironmentMissing, match="Node.js"):
        packages.install(home)


def test_what_is_installed_is_not_installed_again(npm):
    home = npm("#!/bin/sh\n/bin/mkdir -p node_modules; echo once >> count\n")
    for _ in range(2):
        assert packages.install(home) == home / "node_modules"
    assert (home / "count").read_text() == "once\n"


def test_a_folder_that_cannot_be_written_is_named(make, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        make(tmp_path / "file" / "dist")


def test_a_folder_that_holds_anything_else_is_not_replaced(make, tmp_path):
    files.write_bytes(tmp_path / "home" / "thesis.tex", b"years")
    with pytest.raises(UsageError, match="no site of ours"):
        make(tmp_path / "home")
    assert contents(tmp_path / "home") == {"thesis.tex": b"years"}


def test_a_format_that_nobody_has_a_runtime_for_is_listed_with_a_reason(folder, tmp_path):
    one = artifacts.read(artifacts.sidecar_path(folder, INT8))
    artifacts.save(replace(one, id=f"{MODEL}-newer-int8", format="newer"), folder)
    entries = catalogue.gather(folder, tmp_path / "results", ()).entries
    (newer,) = (entry for entry in entries if entry["format"] == "newer")
    assert (newer["runtime"], newer["reason"]) == (None, "No browser runtime is known that takes this format.")


def test_the_page_is_told_how_many_reference_images_there_are(make, folder, tmp_path):
    site = make(tmp_path / "dist")
    (group,) = json.loads(site["catalogue.json"])["groups"]
    count = group["references"][MODEL]["count"]
    assert count == len(reference.load(reference.path(folder, MODEL)).images) == 30
    assert len(site[f"reference/{MODEL}.bin"]) == count * (784 + 1 + 40)
