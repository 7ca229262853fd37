"""Figures of runs of their own, and the artifact that they must be of."""

import pytest
from msgspec import structs

from device_tests import current_results, join, onboard
from device_tests.measure.rewrites import Place, require_same_source
from device_tests.report import columns
from device_tests.results import instructions, placements, rewrites
from device_tests.results.instructions import InstructionCount
from device_tests.results.latency import Interval
from device_tests.results.placements import Operator
from device_tests.results.rewrites import Pair, Rewritten
from export import artifact as artifacts
from export.artifact import Dataset, Rewrite
from models.common import files
from models.common.errors import DataError
from tests.device_tests.conftest import artifact, measured, placement

SHA = "a" * 64
ARTIFACT = artifact(sha256=SHA, macs=28)


@pytest.fixture
def results(tmp_path):
    """A folder with every figure of one row."""
    row = measured(artifact_sha256=SHA)
    inputs = current_results.of_load("torch", ARTIFACT, None, onboard.PROBE)
    count = InstructionCount(artifact=row.artifact, runtime="torch", device="desktop", artifact_sha256=SHA, samples=(7, 8, 9),
                             cpu="qemu-x86_64 max", inputs={k: v for k, v in inputs.items() if v})  # fmt: skip
    instructions.save(count, tmp_path)
    summary = {
        **dict.fromkeys(("p50_ns", "p90_ns", "p99_ns")),
        **{"id": row.id, "roof": "float32", "roof_share": 0.25, "rounds": 20, "samples": 40},
        "ratio": {"value": 1.1, "low": 1.0, "high": 1.2},
    }
    series = {"id": row.id, "artifact_sha256": SHA, "environment": {}}
    timed = {"seed": 0, "date": "", "roofs": [], "series": [series, {"id": "x"}], "summary": [summary, {"id": "x"}]}
    files.write_json(tmp_path / "latency" / "torch@desktop.json", timed)
    operators = (Operator(name="conv", macs=3, taken=True), Operator(name="dense", macs=1))
    key = current_results.explanation(ARTIFACT, "torch")
    placements.save(placement(row.artifact, key=key, delegate="XNNPACK", operators=operators), tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _not_installed(monkeypatch):
    """What is installed on this machine decides nothing here."""
    monkeypatch.setattr(current_results, "packages", lambda runtime, device: None)


def attached(row, artifact, results):
    return join.Added(results, ("torch@desktop", "litert@desktop")).to(row, artifact)


def test_every_figure_is_attached_but_none_of_another_artifact_or_cell_or_of_garbage(results):
    row = attached(measured(artifact_sha256=SHA), ARTIFACT, results)
    assert (row.instructions, row.instructions_cpu) == (7, "qemu-x86_64 max")
    assert (row.bound_share, row.bound) == (0.5, "8 multiply-accumulates per VFMADD")
    assert (row.roof_share, row.roof) == (0.25, "float32")
    assert row.delegated_share == 0.75
    assert (row.latency_ratio_low, row.latency_ratio, row.latency_ratio_high) == (1.0, 1.1, 1.2)
    other = {"artifact_sha256": "b" * 64}
    for facts in (
        other,
        {"artifact_sha256": SHA, "outcome": "mismatch"},
        {"artifact_sha256": SHA, "runtime": "litert"},
    ):
        row = measured(**facts)
        assert attached(row, structs.replace(ARTIFACT, sha256=row.artifact_sha256), results) == row


def test_what_rewrites_bring_is_attached_where_it_was_measured_and_whether_they_pay(tmp_path):
    done = Rewrite(name="pixels_as_channels", operators=("conv",), images=65, difference=0.0, bytes=20)
    pair = Pair(converted=100, rewritten=60)
    record = Rewritten(artifact=ARTIFACT.id, runtime="torch", artifact_sha256=SHA, converted_sha256="c" * 64, bytes=pair,
                       rewrites=(done.name,), instructions={"cortex-a76": pair}, rounds=20,
                       latency=Interval(value=0.7, low=0.69, high=0.71))  # fmt: skip
    rewrites.save(record, tmp_path)

    def text(device: str, **facts) -> str:
        artifact = structs.replace(ARTIFACT, **{"rewrites": (done,), **facts})
        return columns.rewrites(attached(measured(artifact_sha256=SHA, device=device), artifact, tmp_path))

    devices = ("desktop", "cortex-a76", "cortex-a53")
    assert [text(device) for device in devices] == ["0.70 time", "0.60 instr.", "not measured"]
    assert text("cortex-a76", sha256="b" * 64) == "not measured", "the record is of another file"
    assert text("desktop", rewrites=()) == ""
    # they pay where fewer instructions are executed on the whole
    pays = {(101, 80, 90): True, (101, 100, 99): True, (100,): False, (125, 80, 101): False, (): False}
    for after, expected in pays.items():
        pairs = {str(i): Pair(converted=100, rewritten=n) for i, n in enumerate(after)}
        assert structs.replace(record, instructions=pairs).pays is expected


def test_broken_files_are_notes_of_the_row(results):
    broken = [next((results / folder).iterdir()) for folder in ("instructions", "latency", "placements")]
    for file in broken:
        file.write_text("{")
    notes = sorted(attached(measured(artifact_sha256=SHA), ARTIFACT, results).notes)
    assert len(notes) == 3
    assert all(str(file) in note and "Delete it" in note for file, note in zip(broken, notes, strict=True))


@pytest.mark.parametrize("facts", [{"checkpoint_sha256": "d" * 64}, {"dataset": Dataset(name="digits")}], ids=str)
def test_files_of_other_checkpoints_or_images_are_not_compared(tmp_path, facts):
    place = Place(artifacts=tmp_path / "artifacts", results=tmp_path / "results")
    for folder in (place.artifacts, place.converted):
        folder.mkdir(parents=True)
        artifacts.save(ARTIFACT, folder)
    require_same_source(ARTIFACT.id, place)
    artifacts.save(structs.replace(ARTIFACT, **facts), place.artifacts)
    with pytest.raises(DataError, match=f"Make it again with: nox -s export -- --only {ARTIFACT.id}"):
        require_same_source(ARTIFACT.id, place)
