"""What the report says, and what it must not leave out."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from device_tests import report
from device_tests.advice import picks
from device_tests.cells import cells
from device_tests.measurement import save
from device_tests.rows import rows
from export import artifact as artifacts
from models.errors import DataError

MODEL = "torch_cnn_small"
NOTHING = {"size_bytes": None, "total": None, "latencies_ns": (), "dataset": {}, "environment": {}}


@pytest.fixture
def results(measured):
    return (
        measured(scheme="int8", size_bytes=300, agree=9_990, lost=4, gained=2, latencies_ns=(50_000,)),
        measured(scheme="dynamic_int8", size_bytes=250, agree=9_000, lost=90, gained=1),
        measured(format_name="eager", size_bytes=900),
        measured(runtime="litert", latencies_ns=(52_000,)),
        measured(scheme="float16", outcome="mismatch", reason="9 of 10,000 answers agree", agree=9, lost=9_000),
        measured(scheme="int4", outcome="unsupported", reason="no kernel | at all", **NOTHING),
    )


def printed(rows) -> str:
    console = Console(width=report.WIDTH, record=True, file=io.StringIO())
    report.show(report.group(rows, 0.1), 0.1, console)
    return console.export_text()


def test_the_eager_row_comes_first_and_ratios_stand_against_it(results):
    text = printed(results).splitlines()
    first, int8 = (
        next(i for i, line in enumerate(text) if name in line) for name in ("eager-float32", "torchscript-int8")
    )
    assert first < int8
    assert " 0.50 " in text[int8]


def test_markdown_holds_every_row_with_its_whole_reason(results, tmp_path):
    report.write(report.group(results, 0.1), 0.1, tmp_path, None)
    text = (tmp_path / "report.md").read_text()
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(results)
    assert "no kernel \\| at all" in text
    assert "9 of 10,000 answers agree" in text


def test_json_holds_the_statistics_and_no_raw_samples(results, tmp_path):
    report.write(report.group(results, 0.1), 0.1, tmp_path, None)
    (model,) = json.loads((tmp_path / "report.json").read_text())
    row = next(r for r in model["rows"] if r["id"].startswith(f"{MODEL}-torchscript-int8@"))
    assert (row["p50_ns"], row["top1"], row["latency_samples"]) == (50_000, 0.99, 1)
    assert "latencies_ns" not in row


def test_a_picture_is_drawn(results, tmp_path):
    report.write(report.group(results, 0.1), 0.1, tmp_path, tmp_path / "table.svg")
    assert (tmp_path / "table.svg").read_text().startswith("<svg")


def test_picks_keep_within_the_margin_and_name_what_is_as_fast(results):
    smallest, fastest, faithful = picks(results, 0.1)
    assert smallest.id == f"{MODEL}-torchscript-int8@torch@desktop"  # dynamic_int8 is smaller and loses 0.89 points
    assert "top-1 -0.02 points against the float source, paired on 10,000 images" in smallest.says
    assert smallest.says.endswith("with 95 % certainty it loses less than 0.07")
    assert fastest.id == smallest.id
    (gaining, *_) = picks((replace(results[0], lost=0, gained=9),), 0.1)
    assert gaining.says.endswith("with 95 % certainty it gains more than 0.04")
    assert f"so equal: {MODEL}-torchscript-float32@litert@desktop" in fastest.says
    assert faithful.id == f"{MODEL}-torchscript-float32@litert@desktop"


def test_where_nothing_is_good_enough_nothing_is_picked(results):
    assert picks(results[1:2], 0.1) == ()
    assert "Nothing that ran stays within 0.1 points" in printed(results[1:2])


def test_other_data_than_mnist_is_said_loudly(measured):
    text = printed((measured(dataset={"name": "digits"}),))
    assert text.count("NOT MNIST") == 2


def test_quick_results_are_said(measured):
    assert "1 of 1 results are quick ones" in printed((measured(quick=True, total=1_000),))


def test_without_results_there_is_no_report(folders):
    with pytest.raises(DataError, match="nox -s device_tests"):
        rows(cells(), artifacts_folder=folders.bench.artifacts, results_folder=folders.bench.results)


def test_a_cell_without_a_result_is_a_row_that_says_so(folders):
    honest = folders.runtime("honest")
    folders.row(honest)
    folders.runtime("other")
    told = {r.id: (r.outcome, r.reason.split(":")[0]) for r in own_rows(folders)}
    artifact = f"{MODEL}-torchscript"
    assert told[f"{artifact}-float32@honest@desktop"] == ("ok", "")
    assert told[f"{artifact}-float32@other@desktop"] == ("skipped", "not run")
    assert told[f"{artifact}-int8@honest@desktop"] == ("skipped", "not exported")


@pytest.mark.parametrize(
    "change", [{"sha256": "a" * 64}, {"checkpoint_sha256": "a" * 64}, {"dataset": {"sha256": "a" * 64}}]
)
def test_a_result_of_another_file_checkpoint_or_data_set_does_not_count(folders, change):
    folders.row(folders.runtime("honest"))
    known = artifacts.read(artifacts.sidecar_path(folders.bench.artifacts, f"{MODEL}-torchscript-float32"))
    artifacts.save(type(known)(**{**vars(known), **change}), folders.bench.artifacts)
    row = next(r for r in own_rows(folders) if r.artifact == f"{MODEL}-torchscript-float32")
    assert (row.outcome, row.reason.split(":")[0], row.total) == ("skipped", "stale", None)


def test_an_artifact_that_was_not_made_needs_no_run_to_be_a_row(folders, measured):
    save(measured(), folders.bench.results)
    folders.runtime("honest")
    known = artifacts.read(artifacts.sidecar_path(folders.bench.artifacts, f"{MODEL}-torchscript-float32"))
    artifacts.save(type(known)(**{**vars(known), "outcome": "unsupported", "reason": "no"}), folders.bench.artifacts)
    row = next(r for r in own_rows(folders) if r.artifact == f"{MODEL}-torchscript-float32")
    assert (row.outcome, row.reason) == ("unsupported", "no")


def own_rows(folders):
    return rows(cells(), artifacts_folder=folders.bench.artifacts, results_folder=folders.bench.results)
