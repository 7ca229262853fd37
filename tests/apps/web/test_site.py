"""What the site is made of and how it is served; neither needs npm or a browser."""

from __future__ import annotations

import gzip
import json
import threading
from msgspec.structs import replace
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from apps.web import build, catalogue, packages
from apps.web.__main__ import web
from apps.web.serve import Site
from device_tests.results import measurement as measurements
from device_tests.results.measurement import Measurement
from export import artifact as artifacts
from export.artifact import Artifact
from models import files, reference
from models.errors import DataError, EdgewiseError, EnvironmentMissing, UsageError
from models.reference import Reference

MODEL = "torch_cnn_small"
INT8, ONNX, PTE = f"{MODEL}-tflite-int8", f"{MODEL}-onnx-float32", f"{MODEL}-executorch-int8"
LABELS = np.arange(30, dtype=np.uint8) % 10


def save_artifact(folder: Path, id: str, content: bytes) -> None:
    model, format_name, scheme = id.split("-")
    file = folder / f"{id}.{format_name}"
    files.write_bytes(file, content)
    artifacts.save(Artifact(id=id, model=model, framework="torch", format=format_name, scheme=scheme, key="k", file=file.name,
                            sha256=files.sha256(file), size_bytes=len(content), compressed_bytes=len(content),
                            checkpoint_sha256="c" * 64), folder)  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    """An artifacts folder: two artifacts that a browser runs, one that none does, and their reference."""
    made = tmp_path / "artifacts"
    for id, size in ((INT8, 300), (ONNX, 200), (PTE, 100)):
        save_artifact(made, id, b"x" * size)
    images = np.zeros((30, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(30)
    answers = Reference(model=MODEL, dataset="mnist", dataset_sha256="d", checkpoint_sha256="c" * 64, images=images,
                        labels=LABELS, logits=np.eye(10, dtype=np.float32)[LABELS])  # fmt: skip
    reference.save(answers, reference.path(made, MODEL))
    return made


@pytest.fixture
def result(folder) -> Measurement:
    """The desktop's result of the int8 artifact, which answers one image unlike its source."""
    return Measurement(artifact=INT8, runtime="litert", device="desktop", outcome="ok", total=30, correct=29, agree=29,
                       artifact_sha256=files.sha256(folder / f"{INT8}.tflite"), latencies_ns=(70_000, 90_000),
                       environment={"cpu": "a CPU"},
                       flips=({"index": 25, "label": 5, "ours": 6, "theirs": 5},))  # fmt: skip


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
    shown = catalogue.gather(folder, tmp_path / "results", ()).examples
    assert [example["label"] for example in shown] == [*range(10), 5]
    assert shown[-1]["index"] == 25
    assert shown[-1]["flips"] == [{"artifact": INT8, "answer": 6, "source": 5}]
    assert not any(example["flips"] for example in shown[:-1])


def test_reference_images_are_laid_out_as_the_page_reads_them(folder):
    answers = reference.load(reference.path(folder, MODEL))
    content = catalogue.reference_bytes(answers)
    assert len(content) == 30 * (784 + 1 + 40)
    assert list(content[30 * 784 : 30 * 785]) == list(LABELS)
    assert np.array_equal(np.frombuffer(content[30 * 785 :], "<f4").reshape(-1, 10), answers.logits)


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


def test_listing_needs_neither_npm_nor_a_build(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(web, ["--list", "--artifacts", str(folder), "--results", str(tmp_path)])
    assert done.output.split() == sorted([INT8, ONNX])


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
    kept = {*build.shell(), *(path for runtime in packages.RUNTIMES for path in build.of_runtime(runtime))}
    assert own - kept == {"sw.js"}


@pytest.fixture
def site(tmp_path):
    """A small site, served."""
    folder = tmp_path / "dist"
    files.write_bytes(folder / "index.html", b"<p>page</p>")
    files.write_bytes(folder / "app.wasm", b"wasm")
    files.write_bytes(folder / "app.wasm.gz", gzip.compress(b"wasm"))
    files.write_bytes(tmp_path / "secret", b"secret")
    with Site(folder, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(site, path: str, **headers):
    connection = HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_files_are_served_with_their_type_and_compressed_where_that_is_taken(site):
    answer, content = ask(site, "/")
    assert (answer.status, answer.headers["Content-Type"], content) == (200, "text/html; charset=utf-8", b"<p>page</p>")
    answer, content = ask(site, "/app.wasm", **{"Accept-Encoding": "br, gzip"})
    assert (answer.headers["Content-Type"], answer.headers["Content-Encoding"]) == ("application/wasm", "gzip")
    assert gzip.decompress(content) == b"wasm"
    answer, content = ask(site, "/app.wasm", **{"Accept-Encoding": "identity"})
    assert (answer.headers["Content-Encoding"], content) == (None, b"wasm")


def test_what_has_not_changed_is_not_sent_again(site):
    tag = ask(site, "/")[0].headers["ETag"]
    answer, content = ask(site, "/", **{"If-None-Match": tag})
    assert (answer.status, content) == (304, b"")


def test_a_file_that_a_new_build_added_is_served_at_once(site):
    assert ask(site, "/new.txt")[0].status == 404
    (site.folder / "new.txt").write_text("new")
    assert ask(site, "/new.txt")[0].status == 200


def test_headers_give_fine_timers_and_forbid_guessing_types(site):
    headers = ask(site, "/")[0].headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "//secret", "/none", "/app.wasm.gz"])
def test_nothing_but_the_site_is_served(site, path):
    assert ask(site, path)[0].status == 404


def test_a_taken_port_is_told(site):
    with pytest.raises(EdgewiseError, match="--port"):
        Site(site.folder, "127.0.0.1", site.port)
