"""What the site is made of; it is written whole, from the same content to the same bytes; this needs neither npm nor a browser."""

import gzip
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock
from msgspec.structs import replace

from apps.web import build, catalogue, groups, packages
from device_tests.results import measurement as measurements
from export import artifact as artifacts
from models.common import files, records
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError, UsageError
from tests import programs
from tests.apps.web.conftest import INT8, LABELS, MODEL, ONNX, PTE
from tests.device_tests.conftest import measured
from tests.test_architecture import modules


def test_what_a_browser_runs_is_offered_and_the_rest_has_a_reason(folder, tmp_path):
    int8, onnx = (artifacts.read(artifacts.sidecar_path(folder, id)) for id in (INT8, ONNX))
    any_number, four = (replace(int8.inputs[0], shape=(count, 1, 28, 28)) for count in (-1, 4))
    newer, several = f"{MODEL}-newer-int8", f"{MODEL}-tflite-float16"
    artifacts.save(replace(onnx, inputs=(any_number,)), folder)
    artifacts.save(replace(int8, id=several, scheme="float16", inputs=(four,)), folder)
    artifacts.save(replace(int8, id=newer, format="newer"), folder)
    content = catalogue.gather(folder, tmp_path / "results", ())
    assert {entry["id"]: (entry["runtime"], entry.get("reason")) for entry in content.entries} == {
        INT8: ("litertjs", None),
        ONNX: ("onnxruntime_web", None),
        PTE: (None, "ExecuTorch has no package for browsers."),
        several: (None, "It takes 4 images at once; the page shows one."),
        newer: (None, "No browser runtime is known that takes this format."),
    }
    assert groups.first(content.chosen).id == INT8


def test_a_glob_chooses_what_is_offered(folder, tmp_path):
    content = catalogue.gather(folder, tmp_path, ("*-onnx-*",))
    assert [artifact.id for artifact in content.chosen] == [ONNX]
    with pytest.raises(UsageError, match=r"No exported artifact that matches \*-executorch-int8 runs in a browser"):
        catalogue.gather(folder, tmp_path, ("*-executorch-int8",))
    with pytest.raises(UsageError, match="There is no scheme 'int9'"):
        catalogue.gather(folder, tmp_path, (f"{MODEL}-tflite-int9",))


def test_artifacts_that_do_not_match_their_sidecars_or_are_not_there_are_told(folder, tmp_path):
    (folder / f"{INT8}.tflite").write_bytes(b"other")
    with pytest.raises(DataError, match="does not match its sidecar"):
        catalogue.gather(folder, tmp_path, ())
    with pytest.raises(DataError, match="nox -s export"):
        catalogue.gather(tmp_path, tmp_path, ())


def test_the_desktops_figures_and_flips_stand_beside_an_artifact_until_it_changes(folder, tmp_path):
    """Of the int8 artifact, which answers one image unlike its source."""
    results, sha256 = tmp_path / "results", files.sha256(folder / f"{INT8}.tflite")
    flip = {"index": 25, "label": 5, "ours": 6, "theirs": 5, "our_margin": 0.1, "their_margin": 0.1}
    result = measured("int8", "litert", "tflite", total=30, correct=29, agree=29, artifact_sha256=sha256, flips=(flip,),
                      latencies_ns=(70_000, 90_000))  # fmt: skip
    measurements.save(result, results)
    content = catalogue.gather(folder, results, (INT8,))
    desktop, (shown,) = content.entries[0]["desktop"], content.examples
    assert (desktop["p50_ns"], desktop["correct"], desktop["cpu"]) == (80_000, 29, "a CPU")
    assert [example["label"] for example in shown] == [*range(10), 5]
    assert shown[-1]["index"] == 25
    assert shown[-1]["flips"] == [{"artifact": INT8, "answer": 6, "source": 5}]
    assert not any(example["flips"] for example in shown[:-1])  # which are one of each label
    other = records.encode(replace(result, artifact_sha256="0" * 64))
    for content in (other, b"{"):  # a broken result is none
        measurements.path(results, result.id).write_bytes(content)
        assert "desktop" not in catalogue.gather(folder, results, (INT8,)).entries[0]


def test_new_figures_are_a_new_version_of_the_site(tmp_path):
    (tmp_path / "page").write_text("the same")
    before, after, again = (build.version(tmp_path, {"p50_ns": p50}) for p50 in (1, 2, 1))
    assert before == again != after


def test_the_lock_file_names_no_address_and_every_shipped_package():
    lock = (packages.HERE / "package-lock.json").read_text()
    assert "http" not in lock
    pinned = tuple(f"{name}/" for name in json.loads(lock)["packages"] if name)
    assert all(f"node_modules/{file}".startswith(pinned) for file in packages.shipped())
    assert {entry["package"] for entry in packages.versions().values()} == {"@litertjs/core", "onnxruntime-web"}


def test_every_module_of_the_page_is_kept_for_offline_use_and_counted():
    own = {file.relative_to(build.SOURCE).as_posix() for file in files.members(build.SOURCE)}
    cached = {*build.shell(), *(path for runtime in packages.RUNTIMES for path in build.of_runtime(runtime))}
    assert own - cached == {"sw.js"}


def test_only_the_catalogue_reads_results_and_nothing_of_the_app_measures():
    assert {file.name for file in packages.HERE.glob("*.py") if modules(file)} == {"catalogue.py"}


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


def test_two_builds_give_the_same_bytes_and_the_page_is_told_how_many_reference_images_there_are(make, tmp_path):
    first, again, elsewhere = make(tmp_path / "a"), make(tmp_path / "a"), make(tmp_path / "deep" / "b")
    assert first == again == elsewhere
    assert {f"artifacts/{INT8}.json", f"artifacts/{ONNX}.onnx", "sw.js", "index.html.gz"} <= set(first)
    (group,) = json.loads(first["catalogue.json"])["groups"]
    assert group["references"][MODEL]["count"] == len(LABELS)
    assert len(first[f"reference/{MODEL}.bin"]) == len(LABELS) * (784 + 1 + 40)


def test_a_build_that_is_interrupted_anywhere_leaves_the_former_site_whole(make, folder, tmp_path, monkeypatch):
    dist = tmp_path / "dist"
    former = make(dist)
    with pytest.raises(EdgewiseError, match="is not there, though npm installed"):
        make(dist, tmp_path / "empty")
    assert contents(dist) == former

    move = Path.rename

    def interrupted(self, target):
        if Path(target) == dist and not self.name.endswith(".former"):
            raise KeyboardInterrupt
        return move(self, target)

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(dist)
    assert contents(dist) == former
    assert not [path for path in tmp_path.glob(".*") if path.is_dir()]


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


def test_an_npm_that_fails_gives_its_own_reason_in_one_sentence_and_one_that_cannot_be_started_is_named(npm):
    home = npm(f"#!/bin/sh\n/bin/cat >&2 <<'END'\n{UNREACHABLE}END\nexit 1\n")
    with pytest.raises(EdgewiseError, match="failed, reason: connect ECONNREFUSED 127.0.0.1:9. It needs") as caught:
        packages.install(home)
    assert not re.search("npm error|npm warn|\n", str(caught.value))
    assert "apt-get install nodejs npm" in str(caught.value)
    with pytest.raises(EdgewiseError, match="failed: it said nothing"):
        packages.install(npm("#!/bin/sh\nexit 7\n"))
    with pytest.raises(EnvironmentMissing, match="cannot be started .* apt-get install nodejs npm"):
        packages.install(npm("\0not a program"))


@pytest.mark.parametrize(("name", "lacks"), [("npm", "npm is not installed"), ("node", "Node.js, which npm runs on")])
def test_without_npm_or_node_it_is_told_how_to_get_it(npm, tmp_path, name, lacks):
    home = npm("#!/usr/bin/env node\n")
    (tmp_path / "bin" / name).unlink()
    with pytest.raises(EnvironmentMissing, match=f"{lacks}.* apt-get install nodejs npm"):
        packages.install(home)


def test_what_is_installed_is_not_installed_again(npm):
    home = npm("#!/bin/sh\n/bin/mkdir -p node_modules; echo once >> count\n")
    for _ in range(2):
        assert packages.install(home) == home / "node_modules"
    assert (home / "count").read_text() == "once\n"


def test_a_folder_that_cannot_be_written_is_named_and_one_that_holds_anything_else_is_not_replaced(make, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        make(tmp_path / "file" / "dist")
    files.write_bytes(tmp_path / "home" / "thesis.tex", b"years")
    with pytest.raises(UsageError, match="no site of ours"):
        make(tmp_path / "home")
    assert contents(tmp_path / "home") == {"thesis.tex": b"years"}
