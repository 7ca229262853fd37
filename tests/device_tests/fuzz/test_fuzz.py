"""Damage that is seeded, and what becomes of what it is done to."""

import random

import pytest

from device_tests.contract import Load
from device_tests.devices import desktop
from device_tests.transport.dialogue import Conversations
from export.matrix import FURTHER, MATRIX
from models import reference
from models.common import files
from tests.device_tests.conftest import ID, MODEL, export, run_module, running
from tests.device_tests.fuzz import forks, fuzz

CONTENT = bytes(range(256)) * 40


def test_every_format_of_the_matrix_has_a_subject_whose_plan_depends_on_the_seed_alone():
    assert {name for formats in MATRIX.values() for name in formats} == set(fuzz.SUBJECTS)
    assert fuzz.plan("onnx", 50, 3) == fuzz.plan("onnx", 50, 3) != fuzz.plan("onnx", 50, 4)
    assert len(fuzz.plan("onnx", 50, 3)) == 50


@pytest.mark.parametrize("name", fuzz.DAMAGES)
def test_damage_is_seeded_and_real_and_never_touches_the_original(name, tmp_path):
    whole, other = tmp_path / "whole.savedmodel", tmp_path / "other"
    for file in ("saved_model.pb", "variables"):
        files.write_bytes(whole / "1" / file, CONTENT)
    other.write_bytes(b"another format's content")
    results = []
    for copy in ("broken", "another"):
        fuzz.damage(whole, tmp_path / copy, name, random.Random(1), other)
        results.append([file.read_bytes() for file in files.members(tmp_path / copy)])
    assert results[0] == results[1] != [CONTENT] * 2
    assert [file.read_bytes() for file in files.members(whole)] == [CONTENT] * 2


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        ("", "ok", ""),
        ("def load(path, threads):\n    os.abort()", "run_failed", "killed by SIGABRT"),
        ("def load(path, threads):\n    sys.exit(7)", "run_failed", "ended with exit code 1"),
        ("def load(path, threads):\n    signal.alarm(1)\n    time.sleep(60)", "timed_out", "no answer in 60 s"),
        ("def load(path, threads):\n    raise ValueError('no such op')", "load_failed", "ValueError: no such op"),
        ("def load(path, threads):\n    return np.ones(1 << 40)", "load_failed", "Unable to allocate 8.00 TiB"),
        ("def answer(logits):\n    return np.roll(logits, 1)", "mismatch", "answers agree"),
    ],
    ids=["sound", "crash", "exit", "hang", "refusal", "memory", "garbage"],
)
def test_whatever_an_artifact_does_is_a_row(folders, tmp_path, code, outcome, reason):
    starts, place = tmp_path / "starts", folders.bench.artifacts
    counted = f"def start(threads):\n    with open({str(starts)!r}, 'a') as file:\n        file.write('x')\n    return threads\n"
    runtime, file = folders.runtime("fake", counted + code), reference.path(place, MODEL)
    load = Load(runtime=runtime, artifact=place / f"{ID}.pt", sidecar=place / f"{ID}.json", timeout_s=30)
    command = desktop.command(forks.__file__, load, "--reference", str(file), "--latency-s", "0")
    with Conversations().loaded(command, load) as (_, ask):
        first, second = (ask({"artifact": str(load.artifact)}) for _ in range(2))
    assert first["outcome"] == second["outcome"]  # a child that ended badly did not take its parent along
    assert starts.read_text() == "x", "the runtime is started once for all"
    row = fuzz.judged(first, reference.load(file))
    assert row["outcome"] == outcome
    assert reason in row["reason"]
    assert row["peak_rss_bytes"] > 10_000_000


@pytest.mark.slow
def test_damaged_artifacts_end_as_rows_alike_with_the_same_seed_and_leave_no_process(tmp_path):
    subjects = {name: id for name, id in fuzz.SUBJECTS.items() if name not in FURTHER}  # `nox -s fuzz` has these, too
    folder = export(tmp_path / "artifacts", *(id.split("@")[0] for id in subjects.values()))
    options = ["--count=8", "--seed=1", "--artifacts", folder, *(f"--only={name}" for name in subjects)]
    tallies = []
    for _ in range(2):
        output = run_module("tests.device_tests.fuzz.fuzz", *options)
        cells = [line.split("│") for line in output.splitlines() if line.startswith("│")]
        tallies.append([row[:-3] for row in cells])  # without the border, memory and seconds
    assert tallies[0] == tallies[1]
    assert len(tallies[0]) == len(subjects)
    assert "load_failed" in output
    assert not running(tmp_path)
