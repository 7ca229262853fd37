"""What a run does with results that are there, artifacts that are not, and a user who has had enough."""

import time

import numpy as np
import pytest
from msgspec import structs

from device_tests import devices
from device_tests.devices import desktop
from device_tests.results import measurement as measurements
from export import artifact as artifacts
from models.common.errors import DataError, StorageError
from tests.device_tests.conftest import GARBAGE, ID, MODEL, raises, save_artifact


def cell(runtime: str) -> str:
    return f"{ID}@{runtime}@desktop"


def stored(folders, runtime: str):
    return measurements.read(measurements.path(folders.bench.results, cell(runtime)))


def test_a_current_result_is_not_measured_again_nor_a_refusal_and_a_full_one_satisfies_quick(folders):
    name = folders.runtime("honest")
    first = folders.run(cell(name), quick=True)[cell(name)]
    again = folders.run(cell(name), quick=True)[cell(name)]
    assert (first.current, again.current, again.measurement) == (False, True, first.measurement)
    assert not folders.run(cell(name))[cell(name)].current
    assert folders.run(cell(name), quick=True)[cell(name)].current
    assert not folders.run(cell(name), force=True)[cell(name)].current

    for name, words in (("fails", "out of luck"), ("refuses", "does not know the op")):
        folders.runtime(name, f"def load(path, threads):\n    raise ValueError('{words}')")
    folders.run(f"{ID}@*")
    ends = folders.run(f"{ID}@*")
    assert {name: ends[cell(name)].current for name in ("fails", "refuses")} == {"fails": False, "refuses": True}


@pytest.mark.parametrize("outcome", ["unsupported", "export_failed"])
def test_an_artifact_that_was_not_made_is_a_row_with_its_reason_or_the_command_that_makes_it(folders, outcome):
    facts = {"outcome": outcome, "reason": "the tool said no", "file": "", "sha256": ""}
    artifacts.save(structs.replace(folders.artifact, **facts), folders.bench.artifacts)
    row = folders.row(folders.runtime("honest"))
    assert (row.outcome, row.reason) == (outcome, "the tool said no")
    assert not list(folders.bench.results.glob("*.json"))  # it would outlive the export that is mended
    (end,) = folders.run(f"{MODEL}-torchscript-int8@honest@*").values()
    never = ("skipped", f"not exported: nox -s export -- --only {MODEL}-torchscript-int8")
    assert (end.measurement.outcome, end.measurement.reason) == never


def test_a_missing_environment_is_skipped_and_keeps_the_result_that_is_there(folders):
    good = folders.row(folders.runtime("honest"))
    folders.uninstall("honest")
    row = folders.row("honest")
    assert row.outcome == "skipped"
    assert "nox -s 'device_tests(honest)'" in row.reason
    assert stored(folders, "honest") == good


def test_ctrl_c_kills_the_workers_and_keeps_what_is_finished(folders):
    folders.runtime("honest")
    folders.runtime("sleeps", "def load(path, threads):\n    time.sleep(600)")
    running = devices.device("desktop").conversations.running

    def interrupt(end):
        while not running:  # until the sleeper, which is next, has started
            time.sleep(0.01)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        folders.run(f"{ID}@*", on_ended=interrupt, jobs=1, timeout_s=60)
    assert time.monotonic() - began < 30
    assert not running
    assert stored(folders, "honest").outcome == "ok"
    assert stored(folders, "sleeps") is None


def test_a_hang_replaces_no_good_result_but_a_mismatch_and_a_crash_of_another_file_do(folders, tmp_path):
    flag, logits = tmp_path / "hangs", measurements.logits_path(folders.bench.results, cell("moody"))
    hangs = f"    while os.path.exists({str(flag)!r}): time.sleep(0.1)"
    name = folders.runtime("moody", f"def load(path, threads, load=load):\n{hangs}\n    return load(path, threads)")
    good = folders.row(name)
    before = logits.read_bytes()
    flag.touch()
    end = folders.run(cell(name), force=True, timeout_s=1.5)[cell(name)]
    assert (end.measurement.outcome, end.discarded) == ("timed_out", True)
    assert stored(folders, name) == good
    assert logits.read_bytes() == before
    flag.unlink()
    assert folders.run(cell(name))[cell(name)].current
    folders.runtime("moody", GARBAGE)
    assert (folders.row(name).outcome, stored(folders, name).outcome) == ("mismatch", "mismatch")
    folders.runtime("moody")
    assert folders.row(name).outcome == "ok"
    save_artifact(folders.bench.artifacts, np.ones((784, 10), np.float32))
    folders.runtime("moody", "def answer(logits):\n    os.abort()")
    end = folders.run(cell(name))[cell(name)]
    assert (end.measurement.outcome, end.discarded) == ("run_failed", False)
    assert stored(folders, name).outcome == "run_failed"
    assert not logits.exists()


@pytest.mark.parametrize("step", ["require", "pins", "run"])
def test_what_nobody_foresaw_is_the_row_of_its_cell_and_the_others_run(folders, monkeypatch, step):
    folders.runtime("honest")
    folders.runtime("other")
    whole = getattr(desktop.Desktop, step)

    def broken(self, job, *rest):
        if "other" in (job, getattr(job, "runtime", "")):
            raise AssertionError("what \x1b[31mcannot be")
        return whole(self, job, *rest)

    monkeypatch.setattr(desktop.Desktop, step, broken)
    ends = folders.run(f"{ID}@*")
    row = ends[cell("other")].measurement
    assert (row.outcome, row.reason) == ("run_failed", "unexpected: AssertionError: what \x1b[31mcannot be")
    assert any("in broken" in line for line in row.log)
    assert ends[cell("honest")].measurement.outcome == "ok"
    assert stored(folders, "other").outcome == "run_failed"


def test_results_that_cannot_be_written_end_the_run_and_a_broken_reference_before_it_starts(folders, monkeypatch):
    folders.runtime("honest")
    monkeypatch.setattr(measurements, "save", raises(StorageError("the disk is full")))
    with pytest.raises(StorageError):
        folders.run(f"{ID}@*")

    (folders.bench.artifacts / f"{MODEL}.reference.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="is no reference"):
        folders.row("honest")
