"""Figures of runs of their own, and the artifact that they must be of."""

from __future__ import annotations

import pytest
from msgspec import structs

from device_tests import current, join, onboard
from device_tests.report import columns
from device_tests.results import instructions, receipts, rewrites
from device_tests.results.instructions import InstructionCount
from device_tests.results.latency import Interval
from device_tests.results.receipts import Operator, Receipt
from device_tests.results.rewrites import Pair, Rewritten
from export.artifact import Artifact, Rewrite
from models import files

SHA = "a" * 64


def artifact(sha256: str = SHA) -> Artifact:
    names = {"model": "m", "framework": "torch", "format": "torchscript", "scheme": "float32", "macs": 28}
    return Artifact(id="torch_cnn_small-torchscript-float32", key="k", sha256=sha256, **names)


@pytest.fixture
def results(tmp_path, measured):
    """A folder with every figure of one row."""
    row = measured(artifact_sha256=SHA)
    inputs = current.of_load("torch", artifact(), None, onboard.PROBE)
    count = InstructionCount(artifact=row.artifact, runtime="torch", device="desktop", artifact_sha256=SHA, samples=(7, 8, 9),
                             cpu="qemu-x86_64 max", inputs={k: v for k, v in inputs.items() if v})  # fmt: skip
    instructions.save(count, tmp_path)
    timed = {
        **{"seed": 0, "date": "", "roofs": []},
        "series": [{"id": row.id, "artifact_sha256": SHA, "environment": {}}, {"id": "x"}],
        "summary": [
            {
                **dict.fromkeys(("p50_ns", "p90_ns", "p99_ns")),
                "roof_share": 0.25,
                **{"id": row.id, "roof": "float32", "rounds": 20, "samples": 40},
                "ratio": {"value": 1.1, "low": 1.0, "high": 1.2},
            },
            {"id": "x"},
        ],
    }
    files.write_json(tmp_path / "latency" / "torch@desktop.json", timed)
    operators = (Operator(name="conv", macs=3, taken=True), Operator(name="dense", macs=1))
    receipt = Receipt(artifact=row.artifact, key=current.explanation(artifact(), "torch"), runtime="torch", versions={},
                      library="", instruction_sets=(), delegate="XNNPACK", operators=operators, parts=())  # fmt: skip
    receipts.save(receipt, tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _not_installed(monkeypatch):
    """What is installed on this machine decides nothing here."""
    monkeypatch.setattr(current, "packages", lambda runtime, device: None)


def attached(row, artifact, results):
    return join.Added(results, ("torch@desktop", "litert@desktop")).to(row, artifact)


def test_every_figure_is_attached(results, measured):
    row = attached(measured(artifact_sha256=SHA), artifact(), results)
    assert (row.instructions, row.instructions_cpu) == (7, "qemu-x86_64 max")
    assert (row.bound_share, row.bound) == (0.5, "8 multiply-accumulates per VFMADD")
    assert (row.roof_share, row.roof) == (0.25, "float32")
    assert row.delegated_share == 0.75
    assert (row.latency_ratio_low, row.latency_ratio, row.latency_ratio_high) == (1.0, 1.1, 1.2)


@pytest.mark.parametrize(
    ("facts", "sha256"),
    [
        ({"artifact_sha256": "b" * 64}, "b" * 64),
        ({"artifact_sha256": SHA, "outcome": "mismatch"}, SHA),
        ({"artifact_sha256": SHA, "runtime": "litert"}, SHA),
    ],
    ids=["another artifact", "garbage", "another runtime"],
)
def test_figures_of_another_artifact_or_cell_or_of_garbage_are_not_attached(results, measured, facts, sha256):
    row = measured(**facts)
    assert attached(row, artifact(sha256), results) == row


@pytest.fixture
def rewritten_artifact(tmp_path) -> Artifact:
    """An artifact that was rewritten, and what that brings, measured on the desktop and on a core."""
    done = Rewrite(name="pixels_as_channels", operators=("conv",), images=65, difference=0.0, bytes=20)
    pair = Pair(converted=100, rewritten=60)
    record = Rewritten(artifact=artifact().id, runtime="torch", artifact_sha256=SHA, converted_sha256="c" * 64, bytes=pair,
                       rewrites=(done.name,), instructions={"cortex-a76": pair}, rounds=20,
                       latency=Interval(value=0.7, low=0.69, high=0.71))  # fmt: skip
    rewrites.save(record, tmp_path)
    return structs.replace(artifact(), rewrites=(done,))


def test_what_rewrites_bring_is_attached_where_it_was_measured(rewritten_artifact, measured, tmp_path):
    def texts(device: str, sha256: str = SHA) -> str:
        row = measured(artifact_sha256=SHA, device=device)
        artifact = structs.replace(rewritten_artifact, sha256=sha256)
        return columns.rewrites(attached(row, artifact, tmp_path))

    assert (texts("desktop"), texts("cortex-a76"), texts("cortex-a53")) == ("0.70 time", "0.60 instr.", "not measured")
    assert texts("cortex-a76", sha256="b" * 64) == "not measured", "the record is of another file"
    assert columns.rewrites(attached(measured(artifact_sha256=SHA), artifact(), tmp_path)) == ""


def test_rewrites_pay_where_fewer_instructions_are_executed_on_the_whole():
    def record(*after: int) -> Rewritten:
        pairs = {str(i): Pair(converted=100, rewritten=n) for i, n in enumerate(after)}
        return Rewritten(artifact="a", runtime="r", artifact_sha256=SHA, converted_sha256=SHA, rewrites=("x",),
                         bytes=Pair(converted=1, rewritten=2), instructions=pairs)  # fmt: skip

    assert [record(*after).pays for after in ((101, 80, 90), (101, 100, 99), (100,), (125, 80, 101), ())] == [
        True, True, False, False, False]  # fmt: skip


@pytest.mark.parametrize("folder", ["instructions", "latency", "receipts"])
def test_a_broken_file_is_a_note_of_the_row(results, measured, folder):
    (file,) = (results / folder).iterdir()
    file.write_text("{")
    (note,) = attached(measured(artifact_sha256=SHA), artifact(), results).notes
    assert str(file) in note
    assert "Delete it" in note
