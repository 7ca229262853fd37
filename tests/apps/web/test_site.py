"""What the site is made of; this needs neither npm nor a browser."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from apps.web import build, catalogue, packages
from device_tests.results import measurement as measurements
from device_tests.results.measurement import Environment, Flip, Measurement
from models import files
from models.errors import DataError, EnvironmentMissing, UsageError
from tests.apps.web.conftest import INT8, MODEL, ONNX, PTE
from tests.test_architecture import modules


@pytest.fixture
def result(folder) -> Measurement:
    """The desktop's result of the int8 artifact, which answers one image unlike its source."""
    return Measurement(artifact=INT8, runtime="litert", device="desktop", outcome="ok", total=30, correct=29, agree=29,
                       artifact_sha256=files.sha256(folder / f"{INT8}.tflite"), latencies_ns=(70_000, 90_000),
                       environment=Environment(cpu="a CPU"),
                       flips=(Flip(index=25, label=5, ours=6, theirs=5, our_margin=0.1, their_margin=0.1),))  # fmt: skip


def test_what_a_browser_runs_is_offered_and_the_rest_has_a_reason(folder, tmp_path):
    content = catalogue.gather(folder, tmp_path / "results", ())
    entries = {entry["id"]: entry for entry in content.entries}
    runtimes = {id: entry["runtime"] for id, entry in entries.items()}
    assert runtimes == {INT8: "litertjs", ONNX: "onnxruntime_web", PTE: None}
    assert entries[PTE]["reason"] == "ExecuTorch has no package for browsers."
    assert content.first.id == INT8


def test_a_glob_chooses_what_is_offered(folder, tmp_path):
    content = catalogue.gather(folder, tmp_path, ("*-onnx-*",))
    assert [artifact.id for artifact in content.chosen] == [ONNX]
    with pytest.raises(UsageError, match=r"No exported artifact that matches \*-executorch-int8 runs in a browser"):
        catalogue.gather(folder, tmp_path, ("*-executorch-int8",))
    with pytest.raises(UsageError, match="There is no scheme 'int9'"):
        catalogue.gather(folder, tmp_path, (f"{MODEL}-tflite-int9",))


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


def test_new_figures_are_a_new_version_of_the_site(tmp_path):
    (tmp_path / "page").write_text("the same")
    before, after, again = (build.version(tmp_path, {"p50_ns": p50}) for p50 in (1, 2, 1))
    assert before == again != after


def test_without_npm_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "package-lock.json").write_text("{}")
    with pytest.raises(EnvironmentMissing, match="npm is not installed"):
        packages.install(tmp_path)


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
