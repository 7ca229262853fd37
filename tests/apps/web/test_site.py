"""What the site is made of and how it is served; neither needs npm or a browser."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from apps.web import build, catalogue, groups, packages
from device_tests.results import measurement as measurements
from device_tests.results.measurement import Environment, Flip, Measurement
from models import files, reference
from models.errors import DataError, EnvironmentMissing, UsageError
from tests.apps.web.conftest import INT8, LABELS, MODEL, ONNX, PTE


@pytest.fixture
def result(folder) -> Measurement:
    """The desktop's result of the int8 artifact, which answers one image unlike its source."""
    return Measurement(artifact=INT8, runtime="litert", device="desktop", outcome="ok", total=30, correct=29, agree=29,
                       artifact_sha256=files.sha256(folder / f"{INT8}.tflite"), latencies_ns=(70_000, 90_000),
                       environment=Environment(cpu="a CPU"),
                       flips=(Flip(index=25, label=5, ours=6, theirs=5, our_margin=0.1, their_margin=0.1),))  # fmt: skip


def test_what_a_browser_runs_is_offered_and_the_rest_has_a_reason(folder, tmp_path):
    content = catalogue.gather(folder, tmp_path / "results", ())
    assert {entry["id"]: entry["runtime"] for entry in content.entries} == {
        INT8: "litertjs", ONNX: "onnxruntime_web", PTE: None
    }  # fmt: skip
    (refused,) = (entry for entry in content.entries if not entry["runtime"])
    assert refused["reason"] == "ExecuTorch has no package for browsers."


def test_a_glob_chooses_what_is_offered(folder, tmp_path):
    content = catalogue.gather(folder, tmp_path, ("*-onnx-*",))
    assert [artifact.id for artifact in content.chosen] == [ONNX]
    with pytest.raises(UsageError, match=r"No exported artifact that matches \*-executorch-int8 runs in a browser"):
        catalogue.gather(folder, tmp_path, ("*-executorch-int8",))
    with pytest.raises(UsageError, match="There is no scheme 'int9'"):
        catalogue.gather(folder, tmp_path, (f"{MODEL}-tflite-int9",))


def test_a_first_visit_loads_litert_and_int8(folder, tmp_path):
    assert catalogue.gather(folder, tmp_path, ()).first.id == INT8


def test_an_artifact_that_does_not_match_its_sidecar_is_not_shipped(folder, tmp_path):
    (folder / f"{INT8}.tflite").write_bytes(b"other")
    with pytest.raises(DataError, match="does not match its sidecar"):
        catalogue.gather(folder, tmp_path, ())


def test_without_artifacts_the_command_that_makes_them_is_told(tmp_path):
    with pytest.raises(DataError, match="nox -s export"):
        catalogue.gather(tmp_path, tmp_path, ())


def test_the_desktops_figures_stand_beside_an_artifact_until_it_changes(folder, tmp_path, result):
    results = tmp_path / "results"
    measurements.save(result, results)
    first = catalogue.gather(folder, results, (INT8,)).entries[0]
    assert (first["desktop"]["p50_ns"], first["desktop"]["correct"], first["desktop"]["cpu"]) == (80_000, 29, "a CPU")
    measurements.save(replace(result, artifact_sha256="0" * 64), results)
    assert "desktop" not in catalogue.gather(folder, results, (INT8,)).entries[0]


def test_examples_are_one_of_each_label_and_those_that_are_flipped(folder, tmp_path, result):
    measurements.save(result, tmp_path / "results")
    (shown,) = catalogue.gather(folder, tmp_path / "results", ()).examples
    assert [example["label"] for example in shown] == [*range(10), 5]
    assert shown[-1]["index"] == 25
    assert shown[-1]["flips"] == [{"artifact": INT8, "answer": 6, "source": 5}]
    assert not any(example["flips"] for example in shown[:-1])


def test_reference_images_are_laid_out_as_the_page_reads_them(folder):
    evaluation = reference.load(reference.path(folder, MODEL))
    content = groups.reference_bytes(evaluation, 1_000)
    assert len(content) == 30 * (784 + 1 + 40)
    assert list(content[30 * 784 : 30 * 785]) == list(LABELS)
    assert np.array_equal(np.frombuffer(content[30 * 785 :], "<f4").reshape(-1, 10), evaluation.logits)


def test_new_figures_are_a_new_version_of_the_site(tmp_path):
    (tmp_path / "page").write_text("the same")
    before, after, again = (build.version(tmp_path, {"p50_ns": p50}) for p50 in (1, 2, 1))
    assert before == again != after


def test_a_folder_that_holds_anything_else_is_not_replaced(folder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    content = catalogue.gather(folder, tmp_path / "results", ())
    with pytest.raises(UsageError, match="no site of ours"):
        build.build(home, content, artifacts_folder=folder, node_modules=tmp_path)
    assert (home / "thesis.tex").read_text() == "years"


def test_without_npm_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "package-lock.json").write_text("{}")
    with pytest.raises(EnvironmentMissing, match="npm is not installed"):
        packages.install(tmp_path)


def test_the_lock_file_names_no_address_and_every_shipped_package():
    lock = (packages.HERE / "package-lock.json").read_text()
    assert "http" not in lock
    pinned = json.loads(lock)["packages"]
    assert all(
        any(f"node_modules/{file}".startswith(f"{name}/") for name in pinned if name) for file in packages.shipped()
    )
    assert {entry["package"] for entry in packages.versions().values()} == {"@litertjs/core", "onnxruntime-web"}


def test_every_module_of_the_page_is_kept_for_offline_use_and_counted():
    own = {file.relative_to(build.SOURCE).as_posix() for file in files.members(build.SOURCE)}
    cached = {*build.shell(), *(path for runtime in packages.RUNTIMES for path in build.of_runtime(runtime))}
    assert own - cached == {"sw.js"}


def test_only_the_catalogue_reads_results_and_nothing_of_the_app_measures():
    importing = {
        file.name: {name for name in imported(file) if name.startswith("device_tests")}
        for file in packages.HERE.glob("*.py")
    }
    assert {name for name, modules in importing.items() if modules} == {"catalogue.py"}


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
