"""Real artifacts of the small network on every installed runtime, whole and damaged."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from msgspec import structs

from device_tests.cells import Cell, cells
from device_tests.devices import desktop
from device_tests.onboard.runtimes import FURTHER, RUNTIMES, is_timed, runs_on
from device_tests.results import instructions
from export import artifact as artifacts
from models.common import files
from tests.device_tests.conftest import export, need_environment, run_module

pytestmark = pytest.mark.slow


HERE = [name for name in RUNTIMES.names() if runs_on(name, sys.platform)]
# one artifact per kind of file; only Keras comes as SavedModel
RECIPES = ("torch_cnn_small-*-float32", "keras_cnn-eager-float32", "keras_cnn-savedmodel-float32")
ARENA_BYTES = 49_328  # of the small network in float32, whatever the machine


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("exported"), *RECIPES)


@pytest.mark.parametrize("runtime", HERE)
def test_float32_answers_like_its_source_everywhere(exported, tmp_path, runtime):
    need_environment(runtime)
    only = (f"--only={recipe}" for recipe in RECIPES)
    rows = _rows("--quick", "--runtime", runtime, *only, "--artifacts", exported, results=tmp_path)
    assert rows
    for row in rows:
        assert (row["outcome"], row["agree"]) == ("ok", row["total"]), (row["artifact"], row["reason"])
        assert row["max_abs_error"] < 1e-3
        assert bool(row["latencies_ns"]) == bool(row["load_ns"]) == is_timed(runtime)
        assert (row["arena_bytes"] == ARENA_BYTES) == (runtime == "tflite_micro")


@pytest.mark.parametrize(
    ("runtime", "damage"),
    [(r, d) for r in HERE for d in ("one byte", "truncated") if d == "truncated" or r not in FURTHER],
)
def test_a_damaged_file_is_a_row_that_names_no_answer(exported, tmp_path, runtime, damage):
    cell = _first_cell(runtime)
    artifact = artifacts.read(artifacts.sidecar_path(exported, cell.recipe.id))
    file = tmp_path / "artifacts" / artifact.file
    for source in files.members(exported / artifact.file):
        copy = tmp_path / "artifacts" / source.relative_to(exported)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    shutil.copy(exported / "torch_cnn_small.reference.npz", file.parent)
    victim = max(files.members(file), key=lambda member: member.stat().st_size)
    content = victim.read_bytes()
    victim.write_bytes(b"\0" if damage == "one byte" else content[: len(content) // 2])
    # with a sidecar that vouches for it, so that the runtime itself has to notice
    artifacts.save(structs.replace(artifact, sha256=files.sha256(file), size_bytes=files.size_bytes(file)), file.parent)
    (row,) = _rows("--only", cell.id, "--artifacts", file.parent, results=tmp_path / "results", code=1)
    assert row["outcome"] in ("load_failed", "run_failed"), row["reason"]
    assert row["total"] is None


SLOW_TO_START = ("tensorflow", "torch", *FURTHER)  # minutes each, where a processor is emulated


@pytest.mark.needs(desktop.QEMU, "cc")
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES.names() if name not in SLOW_TO_START])
def test_two_counts_of_instructions_are_identical(exported, tmp_path, runtime):
    cell = _first_cell(runtime)
    counts = []
    for results in (tmp_path / "one", tmp_path / "two"):
        run_module("device_tests", "instructions", "--only", cell.id, "--artifacts", exported, "--results", results)
        counts.append(instructions.read(instructions.path(results, cell.id)))
    one, two = counts
    assert (one.outcome, one.notes) == ("ok", ())
    assert one.instructions == two.instructions > 100_000


def _first_cell(runtime: str) -> Cell:
    need_environment(runtime)
    return next(c for c in cells() if c.runtime == runtime and c.recipe.id.startswith("torch_cnn_small-"))


def _rows(*options: object, results: Path, code: int = 0) -> list[dict]:
    """Run cells; return the results that are written."""
    run_module("device_tests", "run", *options, "--results", results, code=code)
    return [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
