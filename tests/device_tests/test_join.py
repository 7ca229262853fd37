"""Figures of runs of their own, and the artifact that they must be of."""

from __future__ import annotations

import pytest

from device_tests import current, join, onboard
from device_tests.results import instructions, receipts
from device_tests.results.instructions import InstructionCount
from device_tests.results.receipts import Operator, Receipt
from export.artifact import Artifact
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


def attached(row, made, results):
    return join.Added(results, ("torch@desktop", "litert@desktop")).to(row, made)


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


@pytest.mark.parametrize("folder", ["instructions", "latency", "receipts"])
def test_a_broken_file_is_a_note_of_the_row(results, measured, folder):
    (file,) = (results / folder).iterdir()
    file.write_text("{")
    (note,) = attached(measured(artifact_sha256=SHA), artifact(), results).notes
    assert str(file) in note
    assert "Delete it" in note
