"""One thing that goes wrong costs no other its figures: shipping, compatibility and counts."""

from types import SimpleNamespace

import pytest
from msgspec import structs

from device_tests import devices
from device_tests.__main__ import group
from device_tests.cells import cells, select
from device_tests.commands import compatibility as compatibility_command
from device_tests.commands import shipping as shipping_command
from device_tests.contract import Load
from device_tests.devices import desktop
from device_tests.machine_lock import MachineLock
from device_tests.measure import compatibility, instructions, shipping
from device_tests.results import instructions as counts
from device_tests.results import shipping as footprints
from device_tests.results.compatibility import Grid
from device_tests.transport.dialogue import Conversations
from export import artifact as artifacts
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing
from tests import programs
from tests.device_tests.conftest import ID, footprint, raises


@pytest.fixture
def weighed(tmp_path):
    return tmp_path / "shipping.json"


@pytest.fixture
def weigh(folders, monkeypatch, weighed):
    """Return a function that weighs runtimes, each as its function says."""

    def run(**measures) -> None:
        for name in measures:
            folders.runtime(name)
        chosen = select(cells(), runtimes=tuple(measures), patterns=(ID,))
        monkeypatch.setattr(shipping_command, "subjects", lambda folder: chosen)
        monkeypatch.setattr(shipping_command, "start", lambda cell, folder, machine: measures[cell.runtime]())
        monkeypatch.setattr(shipping_command.shutil, "which", lambda program: program)  # strip, which weigh would run
        monkeypatch.setattr(shipping_command, "weigh", lambda libraries: {})
        monkeypatch.setattr(shipping_command, "weighed", lambda runtime, started, weights: footprint(runtime))
        arguments = ["shipping", "--artifacts", str(folders.bench.artifacts), "--out", str(weighed)]
        group.main(arguments, standalone_mode=False)

    return run


def starts() -> SimpleNamespace:
    return SimpleNamespace(mapped=())


def test_a_runtime_that_cannot_be_weighed_costs_no_other_its_row_and_rows_of_others_are_kept(weigh, weighed):
    message = r"2 of 3 runtimes could not be measured:\n.*does not start\n.*unexpected: OSError"
    with pytest.raises(EdgewiseError, match=message):
        weigh(a=raises(EdgewiseError("it does not start")), b=starts, c=raises(OSError("gone")))
    assert set(footprints.read_file(weighed)) == {"b"}
    footprints.save((footprint("old"), footprint("b")), weighed)
    with pytest.raises(EdgewiseError):
        weigh(a=raises(EdgewiseError("no")), b=starts)
    assert set(footprints.read_file(weighed)) == {"old", "b"}
    before = weighed.read_bytes()
    with pytest.raises(EdgewiseError):
        weigh(a=raises(EdgewiseError("no")), b=raises(EdgewiseError("no")))
    assert weighed.read_bytes() == before

    with pytest.raises(EnvironmentMissing, match="Nothing was measured"):
        weigh(a=raises(EnvironmentMissing("not installed")))
    assert weighed.read_bytes() == before


def test_an_artifact_that_was_not_made_is_not_blamed_on_a_checksum(folders):
    facts = {"outcome": "export_failed", "reason": "the tool said no", "file": "", "sha256": ""}
    artifacts.save(structs.replace(folders.artifact, **facts), folders.bench.artifacts)
    folders.runtime("fake")
    (cell,) = select(cells(), runtimes=(), patterns=(ID,))
    with pytest.raises(DataError, match=r"was not made \(export_failed\): the tool said no"):
        compatibility.run(cell, folders.bench.artifacts, folders.bench.results, Conversations())
    with pytest.raises(DataError, match="the tool said no"):
        shipping.start(cell, folders.bench.artifacts, MachineLock(print))


def test_a_version_and_an_artifact_that_nobody_foresaw_cost_no_other_its_trials(folders, monkeypatch):
    unforeseen = RuntimeError("what cannot be")
    monkeypatch.setattr(Conversations, "loaded", raises(unforeseen))
    folders.runtime("fake")
    folders.runtime("other")
    file = folders.bench.artifacts / f"{ID}.pt"
    load = Load(runtime="fake", artifact=file, sidecar=file, timeout_s=1)
    trial = compatibility._try(load, "fake", "1.0", "key", Conversations())
    assert (trial.outcome, trial.reason) == ("run_failed", "unexpected: RuntimeError: what cannot be")

    grid = Grid(artifact=ID, runtime="other", artifact_sha256="", trials=())
    chosen = select(cells(), runtimes=(), patterns=(ID,))

    def settle(cell):
        return raises(unforeseen)() if cell.runtime == "fake" else grid

    done = compatibility_command._run_all(chosen, 1, Conversations(), settle)
    assert done == {f"{ID}@fake@desktop": unforeseen, f"{ID}@other@desktop": grid}
    with pytest.raises(EdgewiseError, match=r"1 of 2 artifacts could not be tried:\n.*RuntimeError: what cannot be"):
        compatibility_command._fail(chosen, [], {"fake": unforeseen})


@pytest.fixture
def counter(folders, tmp_path, monkeypatch):
    folders.runtime("fake")
    (cell,) = select(cells(), runtimes=(), patterns=(ID,))
    monkeypatch.setattr(desktop.Desktop, "counted", lambda *arguments: None)
    monkeypatch.setattr(instructions, "emulator", lambda command: ("cpu", "qemu"))
    monkeypatch.setattr(instructions.Counter, "_warm", lambda *arguments: None)

    def settle(facts, force: bool = True) -> instructions.Ended:
        monkeypatch.setattr(instructions.Counter, "_count", lambda *arguments: facts())
        counting = instructions.Counter(artifacts=folders.bench.artifacts, results=folders.bench.results, force=force,
                                    timeout_s=1.0, plugin=tmp_path)  # fmt: skip
        return counting.settle(cell)

    return settle


def test_a_count_that_fails_or_that_nobody_foresaw_is_a_row_and_replaces_no_good_one(folders, counter):
    good = counter(lambda: {"samples": (5, 5), "notes": ()}).count
    file = counts.path(folders.bench.results, good.id)
    for facts in ({"outcome": "timed_out", "reason": "no answer"}, {"outcome": "run_failed", "reason": "killed"}):
        assert counter(lambda facts=facts: facts).count.outcome == facts["outcome"]
        assert counts.read(file) == good
    count = counter(raises(AssertionError("what cannot be"))).count
    assert (count.outcome, count.reason) == ("run_failed", "unexpected: AssertionError: what cannot be")
    assert counts.read(file) == good
    counter(lambda: {"outcome": "unsupported", "reason": "it says no"})
    assert counts.read(file).outcome == "unsupported"


def test_where_instructions_are_counted_is_known_without_asking_and_an_emulator_must_tell_its_version(tmp_path):
    counting = {"desktop": True, "cortex-a53": True, "ssh:a@b": False, "android:1": False}
    assert {name: devices.device(name).counts for name in counting} == counting
    qemu = programs.script(tmp_path / "qemu-x", "echo 'no such option' >&2; exit 3")
    with pytest.raises(EnvironmentMissing, match="does not tell its version: no such option"):
        instructions._version(str(qemu))
