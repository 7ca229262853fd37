"""Real artifacts of the small network on every installed runtime, whole and damaged."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from device_tests.cells import Cell, cells
from device_tests.devices import desktop
from device_tests.onboard.runtimes import FURTHER, RUNTIMES, is_timed, runs_on
from device_tests.results import instructions
from export import artifact as artifacts
from models.common import environments, files
from models.common.errors import EnvironmentMissing
from tests import programs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
HERE = [name for name in RUNTIMES.names() if runs_on(name, sys.platform)]
# one artifact per kind of file; only Keras comes as SavedModel
RECIPES = ("torch_cnn_small-*-float32", "keras_cnn-eager-float32", "keras_cnn-savedmodel-float32")
ONLY = tuple(f"--only={recipe}" for recipe in RECIPES)
ARENA_BYTES = 49_328  # of the small network in float32, whatever the machine


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    _type_in("export", *ONLY, "--artifacts", folder / "artifacts", "--logs", folder / "logs")
    return folder / "artifacts"


def _type_in(module: str, *arguments, code: int = 0) -> str:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "300"})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def _rows(results: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]


@pytest.mark.parametrize("runtime", HERE)
def test_float32_answers_like_its_source_everywhere(exported, tmp_path, runtime):
    _require(runtime)
    folders = ("--artifacts", exported, "--results", tmp_path)
    _type_in("device_tests", "run", "--quick", "--runtime", runtime, *ONLY, *folders)
    rows = _rows(tmp_path)
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
    folders = ("--artifacts", file.parent, "--results", tmp_path / "results")
    _type_in("device_tests", "run", "--only", cell.id, *folders, code=1)
    (row,) = _rows(tmp_path / "results")
    assert row["outcome"] in ("load_failed", "run_failed"), row["reason"]
    assert row["total"] is None


SLOW_TO_START = ("tensorflow", "torch", *FURTHER)  # minutes each, where a processor is emulated


@pytest.mark.needs(desktop.QEMU, "cc")
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES.names() if name not in SLOW_TO_START])
def test_two_counts_of_instructions_are_identical(exported, tmp_path, runtime):
    cell = _first_cell(runtime)
    counts = []
    for results in (tmp_path / "one", tmp_path / "two"):
        _type_in("device_tests", "instructions", "--only", cell.id, "--artifacts", exported, "--results", results)
        counts.append(instructions.read(instructions.path(results, cell.id)))
    one, two = counts
    assert (one.outcome, one.notes) == ("ok", ())
    assert one.instructions == two.instructions > 100_000


def _require(runtime: str) -> None:
    try:
        environments.python(runtime, install="nox")
    except EnvironmentMissing as error:
        programs.absent(str(error))


def _first_cell(runtime: str) -> Cell:
    _require(runtime)
    return next(c for c in cells() if c.runtime == runtime and c.recipe.id.startswith("torch_cnn_small-"))
