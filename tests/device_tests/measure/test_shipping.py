"""What ships with a model: which subjects are weighed, what their libraries weigh, how they start, what an app grows by."""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from device_tests.cells import cells, select
from device_tests.commands import shipping as command
from device_tests.devices.desktop import Desktop
from device_tests.machine_lock import MachineLock
from device_tests.measure import shipping
from device_tests.onboard.runtimes import RUNTIMES, is_timed, runs_on
from device_tests.results import shipping as footprints
from export import artifact as artifacts
from models.common import environments, records
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing
from tests.device_tests.conftest import ID, artifact, export, footprint, measured, raises, type_in


def test_every_runtime_has_one_subject_of_the_smallest_network_that_was_made(tmp_path):
    ship = {name for name in RUNTIMES.names() if runs_on(name, sys.platform) and is_timed(name)}
    assert {cell.runtime for cell in shipping.subjects(tmp_path)} == ship
    assert not ship & {"mil_evaluator", "tflite_micro"}  # what stands for a device ships nowhere
    for model, parameters in (("torch_cnn", 300), ("torch_cnn_small", 200)):
        artifacts.save(artifact(f"{model}-tflite-float32", parameters=parameters), tmp_path)
    subjects = {cell.runtime: cell.recipe.id for cell in shipping.subjects(tmp_path)}
    assert subjects["litert"] == subjects["tensorflow"] == "torch_cnn_small-tflite-float32"


@pytest.mark.needs("strip")
def test_a_library_loses_its_symbols_and_is_compressed_and_one_that_cannot_be_stripped_is_named(tmp_path):
    library = next((Path(np.__file__).parent / "_core").glob("_multiarray_umath*.so"))
    raw, stripped, compressed = shipping._weigh(library)
    assert raw == library.stat().st_size >= stripped > compressed > 0
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(EdgewiseError, match=r"text\.so cannot be stripped"):
        shipping._weigh(tmp_path / "text.so")


@pytest.mark.needs("strip")
def test_a_library_that_several_environments_hold_is_weighed_once_and_for_all(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    weighed = []
    monkeypatch.setattr(shipping, "_weigh", lambda library: weighed.append(library) or (3, 2, 1))
    one, copy, other = (tmp_path / name for name in ("one.so", "copy.so", "other.so"))
    for library in (one, copy):
        library.write_bytes(b"same")
    other.write_bytes(b"other")
    assert shipping.weigh([one, copy, other]) == dict.fromkeys((one, copy, other), (3, 2, 1))
    assert len(weighed) == 2
    assert shipping.weigh([other, copy]) == dict.fromkeys((copy, other), (3, 2, 1))
    assert len(weighed) == 2
    next((tmp_path / "cache").rglob("*.json")).write_text("[-1")  # cut off, as a full disk does it
    shipping.weigh([other, copy])
    assert len(weighed) == 3


@pytest.mark.parametrize(("seconds", "starts"), [([1.0, 1.04], 2), ([2.0, 1.0, 1.01], 3), ([1.0, 2.0, 3.0], 3)])
def test_a_runtime_is_started_until_two_starts_take_the_same_time(seconds, starts, tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "read", lambda path: artifact())
    monkeypatch.setattr(artifacts, "check", lambda artifact, folder: tmp_path / "f")
    taken = iter(seconds)
    monkeypatch.setattr(shipping, "_start", lambda *_: (next(taken), {"peak_kb": 1, "mapped": []}))
    started = shipping.start(shipping.subjects(tmp_path)[0], tmp_path, MachineLock(print))
    assert len(started.seconds) == starts


@pytest.mark.parametrize(
    ("code", "timeout_s", "message"),
    [
        ("raise ImportError('no such library here')", 60.0, "ImportError: no such library here"),
        ("import time\ntime.sleep(600)", 2.0, "it said nothing and killed by SIGKILL"),
    ],
    ids=["fails", "hangs"],
)
def test_a_runtime_that_does_not_start_says_its_last_words(tmp_path, monkeypatch, code, timeout_s, message):
    (tmp_path / "fake.py").write_text(code)
    monkeypatch.setattr(RUNTIMES, "path", lambda name: tmp_path / "fake.py")
    monkeypatch.setattr(environments, "python", lambda name, install: sys.executable)
    monkeypatch.setattr(shipping, "TIMEOUT_S", timeout_s)
    with pytest.raises(EdgewiseError, match=f"fake did not answer a-b-c: {message}"):
        shipping._start("fake", tmp_path / "file", artifact("a-b-c"))


def test_a_network_that_a_runtimes_format_cannot_hold_is_skipped_with_its_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.shutil, "which", str)
    monkeypatch.setattr(Desktop, "require", lambda self, runtime: None)
    unsupported = {"outcome": "unsupported", "reason": "no operator 'ReduceMax'", "file": "", "sha256": ""}
    subjects = shipping.subjects(tmp_path)
    for cell in subjects:
        artifacts.save(artifact(cell.recipe.id, **unsupported), tmp_path)
    with pytest.raises(EnvironmentMissing, match="Nothing was measured, for the reasons above"):
        type_in("shipping", "--artifacts", tmp_path, "--out", tmp_path / "shipping.json")
    artifacts.save(artifact(subjects[0].recipe.id, **unsupported | {"outcome": "export_failed"}), tmp_path)
    with pytest.raises(DataError, match=r"was not made \(export_failed\): no operator"):  # no checksum is blamed
        shipping.start(subjects[0], tmp_path, MachineLock(print))
    skipped = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped ")]
    assert skipped == [f"skipped {cell.recipe.id} is unsupported: no operator 'ReduceMax'" for cell in subjects]


def test_a_runtime_that_cannot_be_weighed_costs_no_other_its_row_and_rows_of_others_are_kept(
    folders, tmp_path, monkeypatch
):
    weighed = tmp_path / footprints.FILE
    monkeypatch.setattr(command.shutil, "which", lambda program: program)  # strip, which weigh would run
    monkeypatch.setattr(command, "weigh", lambda libraries: {})
    monkeypatch.setattr(command, "weighed", lambda runtime, started, weights: footprint(runtime))

    def starts() -> SimpleNamespace:
        return SimpleNamespace(mapped=())

    def weigh(**measures) -> None:
        for name in measures:
            folders.runtime(name)
        chosen = select(cells(), runtimes=tuple(measures), patterns=(ID,))
        monkeypatch.setattr(command, "subjects", lambda folder: chosen)
        monkeypatch.setattr(command, "start", lambda cell, folder, machine: measures[cell.runtime]())
        type_in("shipping", "--artifacts", folders.bench.artifacts, "--out", weighed)

    message = r"2 of 3 runtimes could not be measured:\n.*does not start\n.*unexpected: OSError"
    with pytest.raises(EdgewiseError, match=message):
        weigh(a=raises(EdgewiseError("it does not start")), b=starts, c=raises(OSError("gone")))
    assert set(footprints.read(weighed)) == {"b"}
    records.write(weighed, (footprint("old"), footprint("b")))
    with pytest.raises(EdgewiseError):
        weigh(a=raises(EdgewiseError("no")), b=starts)
    assert set(footprints.read(weighed)) == {"old", "b"}
    before = weighed.read_bytes()
    with pytest.raises(EdgewiseError):
        weigh(a=raises(EdgewiseError("no")), b=raises(EdgewiseError("no")))
    assert weighed.read_bytes() == before

    with pytest.raises(EnvironmentMissing, match="Nothing was measured"):
        weigh(a=raises(EnvironmentMissing("not installed")))
    assert weighed.read_bytes() == before


@pytest.mark.needs("strip")
@pytest.mark.slow
def test_litert_ships_its_own_libraries_only(tmp_path):
    only = "torch_cnn_small-tflite-float32"
    export(tmp_path, only)
    cell = next(c for c in shipping.subjects(tmp_path) if c.runtime == "litert")
    started = shipping.start(cell, tmp_path, MachineLock(print))
    row = shipping.weighed("litert", started, shipping.weigh(started.mapped))
    assert row.model_bytes == artifacts.read(tmp_path / f"{only}.json").size_bytes
    assert row.library_bytes > row.stripped_bytes > row.compressed_bytes > 1_000_000
    assert row.cold_start_s > 0
    assert row.peak_rss_bytes > 10_000_000


TORCH = footprint("torch", compressed_bytes=100)


@pytest.mark.parametrize("content", ["no JSON", "{}", "[3]", '[{"runtime": "torch"}]'])
def test_what_was_weighed_is_read_by_runtime_and_a_broken_file_is_said(tmp_path, content):
    assert footprints.read(tmp_path / footprints.FILE) == {}
    records.write(tmp_path / footprints.FILE, (TORCH,))
    assert footprints.read(tmp_path / footprints.FILE) == {"torch": TORCH}
    (tmp_path / footprints.FILE).write_text(content)
    with pytest.raises(DataError, match="Delete it and run: nox -s shipping"):
        footprints.read(tmp_path / footprints.FILE)


def test_a_model_ships_with_its_runtime_or_the_apps_engine_and_the_desktops_libraries_say_nothing_of_a_phone():
    row = partial(measured, compressed_bytes=7, environment={"extra": {"engine_bytes": 1_000}})
    assert footprints.total_bytes(row(), {"torch": TORCH}) == 107
    assert footprints.total_bytes(row(), {}) is None
    assert footprints.total_bytes(row(device="android:1"), {"torch": TORCH}) is None
    assert footprints.total_bytes(row(device="app:pixel-7"), {}) == 1_007
