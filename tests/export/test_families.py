"""Which lane takes which recipes, and where the time of an export is said to go; no framework is needed."""

import importlib
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from export import matrix, phases
from export.__main__ import profile
from export.formats import coreml
from export.lane_client import Unit
from export.planning import Job
from export.run import Waiting, units
from models.common.console import out


def job(model: str, *globs: str) -> Job:
    recipes = matrix.select(tuple(f"{model}-{glob}" for glob in globs)) if globs else ()
    where = {"dataset": None, "folder": Path("a"), "log": Path("l")}
    inputs = {"checkpoint_sha256": "c", "reference_inputs": {}, "recipes": tuple((r, "k") for r in recipes)}
    return Job(model=model, force=False, **where, **inputs)


def test_recipes_that_share_conversions_are_one_unit_and_every_recipe_is_in_one():
    listed = units([job("torch_cnn", "onnx-*", "ort-*", "ncnn-*", "torchscript*", "executorch*", "tflite-int8")])
    sizes = {"onnx of torch": 13, "torchscript": 6, "executorch": 7, "tflite of torch": 1}
    assert {unit.family: len(unit.recipes) for unit in listed} == sizes
    jobs = [job(model, "*") for model in ("torch_cnn", "torch_cnn_small", "keras_cnn")]
    assert sorted(r for unit in units(jobs) for r in unit.recipes) == sorted(matrix.recipes())
    # a model that only lacks its reference is one, too
    assert [(unit.job.model, len(unit.recipes)) for unit in units([job("torch_cnn")])] == [("torch_cnn", 0)]


@pytest.mark.parametrize("two_goes_on", [False, True])
def test_a_lane_stays_with_what_it_has_imported_and_then_takes_what_is_left_of_anothers(two_goes_on):
    models = ("torch_cnn", "torch_cnn_small")
    waiting = Waiting([job(model, "onnx-*", "tflite-float32") for model in models])
    for model in models:
        waiting.prepared(model)
    one, two = [waiting.take([])], [waiting.take([])]
    two.append(waiting.take(two))
    assert [unit.family for unit in two] == ["tflite of torch"] * 2
    assert [one[0].family, waiting.take(two if two_goes_on else one).family] == ["onnx of torch"] * 2
    assert waiting.take(one) is None


def test_a_second_lane_begins_with_the_other_framework():
    waiting = Waiting([job("torch_cnn", "*"), job("torch_cnn_small", "*"), job("keras_cnn", "*")])
    one, two = waiting.take([]), waiting.take([])
    assert {one.job.model.split("_")[0], two.job.model.split("_")[0]} == {"torch", "keras"}


def test_units_of_a_model_wait_until_its_reference_is_made_once():
    waiting = Waiting([job("torch_cnn", "onnx-*", "tflite-*")])
    assert waiting.take([]) is not None
    taken: list[Unit | None] = []
    other = threading.Thread(target=lambda: taken.append(waiting.take([])), daemon=True)
    other.start()
    other.join(0.1)
    assert not taken
    waiting.prepared("torch_cnn")
    other.join(5)
    assert taken[0] is not None


def test_nothing_is_taken_of_a_model_that_cannot_be_exported_where_nothing_is_and_once_the_export_is_stopped():
    waiting, stopped = (Waiting([job("torch_cnn", "onnx-*", "tflite-*"), job("keras_cnn", "onnx-*")]) for _ in range(2))
    waiting.take([])
    waiting.drop("torch_cnn")
    assert waiting.take([]).family == "onnx of keras"
    assert waiting.take([]) is None
    stopped.stop()
    assert stopped.take([]) is None


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time that the phases see; nothing is spent yet."""
    now = [100.0]
    monkeypatch.setattr(phases.time, "perf_counter", lambda: now[0])
    phases.taken()
    yield now
    phases.taken()


def test_a_phase_within_another_is_counted_once_and_the_time_that_a_lane_waits_for_work_never(clock):
    with phases.phase(phases.CONVERT):
        clock[0] += 2
        with phases.phase(phases.CALIBRATE):
            clock[0] += 3
        clock[0] += 4
    clock[0] += 1
    assert phases.taken() == {"convert": 6, "calibrate": 3, "other": 1}
    clock[0] += 50
    phases.begin()
    assert phases.taken() == {"other": 0}
    with pytest.raises(ZeroDivisionError), phases.phase(phases.CONVERT):
        raise ZeroDivisionError
    clock[0] += 1
    assert phases.taken()["other"] == 1, "a phase that fails ends"


def test_an_import_is_a_phase_of_its_own(clock, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib._bootstrap, "_find_and_load", importlib._bootstrap._find_and_load)  # is put back
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_to_import.py").write_text("from export import phases\nphases.time.perf_counter.passes(7)\n")
    phases.time.perf_counter.passes = lambda seconds: clock.append(clock.pop() + seconds)
    phases.watch_imports()
    with phases.phase(phases.CONVERT):
        import slow_to_import  # noqa: F401
    assert phases.taken()["import"] == 7


def test_the_table_adds_up(capsys):
    seconds = {"onnx of torch": Counter({"load": 1.0, "convert": 5.0}), "references": Counter({"reference": 4.0})}
    assert profile(seconds, lanes=1, took_s=6.0).caption is None
    out.print(profile(seconds, lanes=2, took_s=6.0))
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.replace("│", " ").splitlines()]
    assert ["onnx", "of", "torch", "1.0", "5.0", "6.0"] in lines
    assert ["references", "4.0", "4.0"] in lines
    assert ["all", "1.0", "4.0", "5.0", "10.0"] in lines
    assert "2.0 s of the lanes' 12.0 s are not in it" in " ".join(printed.split())


def test_what_coremltools_needs_not_is_hidden_while_it_is_imported_and_found_again_afterwards():
    assert "json" in sys.modules
    sys.modules.pop("wave", None)
    with coreml._without(("json", "wave")):
        importlib.import_module("json")
        with pytest.raises(ImportError):
            importlib.import_module("wave")
    assert importlib.import_module("wave").open
