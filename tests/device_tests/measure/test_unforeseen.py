"""One thing that goes wrong costs no other its figures: shipping, compatibility and counts."""

from __future__ import annotations

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
from device_tests.measure import compatibility, instructions, shipping
from device_tests.measure.shipping import Footprint
from device_tests.results import instructions as counts
from device_tests.results import shipping as footprints
from device_tests.results.compatibility import Grid
from device_tests.transport.dialogue import Conversations
from export import artifact as artifacts
from models.errors import DataError, EdgewiseError, EnvironmentMissing

ID = "torch_cnn_small-torchscript-float32"


def shipped(runtime: str) -> Footprint:
    return Footprint(runtime=runtime, artifact=ID, model_bytes=1, libraries=1, library_bytes=1, stripped_bytes=1,
                   compressed_bytes=1, cold_start_s=1.0, peak_rss_bytes=1, elsewhere="")  # fmt: skip


@pytest.fixture
def weigh(folders, monkeypatch, tmp_path):
    """Return a function that weighs runtimes, each as its function says, and returns what the file holds then."""
    file = tmp_path / "shipping.json"

    def run(**measures) -> dict[str, dict]:
        for name in measures:
            folders.runtime(name)
        monkeypatch.setattr(
            shipping_command,
            "subjects",
            lambda folder: tuple(c for c in cells() if c.recipe.id == ID and c.runtime in measures),
        )
        monkeypatch.setattr(shipping_command, "start", lambda cell, folder, machine: measures[cell.runtime]())
        monkeypatch.setattr(shipping_command.shutil, "which", lambda program: program)  # strip, which weigh would run
        monkeypatch.setattr(shipping_command, "weigh", lambda libraries: {})
        monkeypatch.setattr(shipping_command, "weighed", lambda runtime, started, weights: shipped(runtime))
        arguments = ["shipping", "--artifacts", str(folders.bench.artifacts), "--out", str(file)]
        try:
            group.main(arguments, standalone_mode=False)
        finally:
            run.written = footprints.read_file(file)
        return run.written

    run.file = file
    return run


def raises(error: Exception):
    def function():
        raise error

    return function


def test_a_runtime_that_cannot_be_weighed_costs_no_other_its_row(weigh):
    with pytest.raises(
        EdgewiseError, match=r"2 of 3 runtimes could not be measured:\n.*does not start\n.*unexpected: OSError"
    ):
        weigh(
            a=raises(EdgewiseError("it does not start")),
            b=lambda: SimpleNamespace(mapped=()),
            c=raises(OSError("gone")),
        )
    assert set(weigh.written) == {"b"}


def test_rows_of_runtimes_that_are_not_measured_now_are_kept(weigh):
    footprints.save((shipped("old"), shipped("b")), weigh.file)
    with pytest.raises(EdgewiseError):
        weigh(a=raises(EdgewiseError("no")), b=lambda: SimpleNamespace(mapped=()))
    assert set(weigh.written) == {"old", "b"}
    before = weigh.file.read_bytes()
    with pytest.raises(EdgewiseError):
        weigh(a=raises(EdgewiseError("no")), b=raises(EdgewiseError("no")))
    assert weigh.file.read_bytes() == before


def test_where_no_runtime_is_installed_nothing_is_written_and_that_is_an_error(weigh, folders):
    def missing() -> None:
        raise EnvironmentMissing("not installed")

    with pytest.raises(EnvironmentMissing, match="Nothing was measured"):
        weigh(a=missing)
    assert not weigh.file.exists()


@pytest.mark.needs("strip")
def test_a_library_that_cannot_be_stripped_is_named(tmp_path):
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(EdgewiseError, match=r"text\.so cannot be stripped"):
        shipping._weigh(tmp_path / "text.so")


def test_a_start_that_hangs_is_ended(tmp_path, monkeypatch):
    import sys

    from device_tests.onboard.runtimes import RUNTIMES
    from export.artifact import Artifact
    from export.contract import Tensor
    from models import environments

    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(RUNTIMES, "path", lambda name: tmp_path / "hangs.py")
    monkeypatch.setattr(environments, "python", lambda name, install: sys.executable)
    monkeypatch.setattr(shipping, "TIMEOUT_S", 2.0)
    artifact = Artifact(id="a-b-c", model="a", framework="torch", format="b", scheme="c", key="k",
                    inputs=(Tensor(name="image", shape=(1, 2), dtype="float32"),))  # fmt: skip
    with pytest.raises(EdgewiseError, match="said nothing and killed by SIGKILL"):
        shipping._start("hangs", tmp_path / "file", artifact)


def test_an_artifact_that_was_not_made_is_not_blamed_on_a_checksum(folders):
    artifact = folders.artifact
    facts = {"outcome": "export_failed", "reason": "the tool said no", "file": "", "sha256": ""}
    artifacts.save(structs.replace(artifact, **facts), folders.bench.artifacts)
    folders.runtime("fake")
    (cell,) = select(cells(), runtimes=(), patterns=(ID,))
    with pytest.raises(DataError, match=r"was not made \(export_failed\): the tool said no"):
        compatibility.run(cell, folders.bench.artifacts, folders.bench.results, Conversations())
    from device_tests.machine_lock import MachineLock

    with pytest.raises(DataError, match="the tool said no"):
        shipping.start(cell, folders.bench.artifacts, MachineLock(lambda text: None))


def test_a_version_that_nobody_foresaw_costs_no_other_its_trial(folders, tmp_path):
    class Broken(Conversations):
        def loaded(self, command, load):
            raise RuntimeError("what cannot be")

    folders.runtime("fake")
    file = folders.bench.artifacts / f"{ID}.pt"
    load = Load(runtime="fake", artifact=file, sidecar=file, timeout_s=1)
    trial = compatibility._try(load, "fake", "1.0", "key", Broken())
    assert (trial.outcome, trial.reason) == ("run_failed", "unexpected: RuntimeError: what cannot be")


def test_an_artifact_that_nobody_foresaw_ends_no_other(folders):
    folders.runtime("fake")
    folders.runtime("other")
    chosen = select(cells(), runtimes=(), patterns=(ID,))

    def settle(cell):
        if cell.runtime == "fake":
            raise RuntimeError("what cannot be")
        return Grid(artifact=ID, runtime="other", artifact_sha256="", trials=())

    done = compatibility_command._run_all(chosen, 1, Conversations(), settle)
    assert isinstance(done[f"{ID}@fake@desktop"], RuntimeError)
    assert isinstance(done[f"{ID}@other@desktop"], Grid)
    with pytest.raises(EdgewiseError, match=r"1 of 2 artifacts could not be tried:\n.*RuntimeError: what cannot be"):
        compatibility_command._fail(chosen, [], {"fake": RuntimeError("what cannot be")})


@pytest.fixture
def counter(folders, tmp_path, monkeypatch):
    """Return a counter that counts as its function says."""
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


def test_a_count_that_fails_replaces_no_good_one(folders, counter):
    good = counter(lambda: {"samples": (5, 5), "notes": ()}).count
    file = counts.path(folders.bench.results, good.id)
    for facts in ({"outcome": "timed_out", "reason": "no answer"}, {"outcome": "run_failed", "reason": "killed"}):
        assert counter(lambda facts=facts: facts).count.outcome == facts["outcome"]
        assert counts.read(file) == good
    counter(lambda: {"outcome": "unsupported", "reason": "it says no"})
    assert counts.read(file).outcome == "unsupported"


def test_a_count_that_nobody_foresaw_is_a_row(folders, counter):
    good = counter(lambda: {"samples": (5, 5), "notes": ()}).count
    count = counter(raises(AssertionError("what cannot be"))).count
    assert (count.outcome, count.reason) == ("run_failed", "unexpected: AssertionError: what cannot be")
    assert counts.read(counts.path(folders.bench.results, good.id)) == good


def test_an_emulator_that_does_not_tell_its_version_is_said(tmp_path):
    qemu = tmp_path / "qemu-x"
    qemu.write_text("#!/bin/sh\necho 'no such option' >&2; exit 3\n")
    qemu.chmod(0o755)
    with pytest.raises(EnvironmentMissing, match="does not tell its version: no such option"):
        instructions._version(str(qemu))


def test_where_instructions_are_counted_is_known_without_asking_the_device():
    assert [devices.device(name).counts for name in ("desktop", "cortex-a53", "ssh:a@b", "android:1")] == [
        True,
        True,
        False,
        False,
    ]
