"""Whatever stands in a record: a sentence, a documented exit code, and no green that the truth does not bear out."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_tests.__main__ import group
from models.common.files import stem
from tests.hostile import values, world
from tests.hostile.cli import typed
from tests.hostile.conftest import examples

COMMANDS = (
    ["check", "--baseline", "baseline.json", "--junit", "junit.xml", "--summary", "summary.md", "--verbose"],
    ["check", "--update-baseline"],
    ["report", "--report", "report"],
    ["add", "page.json"],
)
GREEN = re.compile(r"^pass (\S+) (\S+):", re.MULTILINE)


@cache
def content(untouched: Path, name: str) -> bytes:
    return (untouched / name).read_bytes()


@examples("records")
@given(data=st.data())
def test_a_hostile_record_is_a_sentence(untouched, data):
    name = data.draw(st.sampled_from(untouched.records), label="record")
    new = data.draw(values.record(content(untouched.folder, name)), label="content")
    command = ["add", "page.json"] if name == "page.json" else data.draw(st.sampled_from(COMMANDS), label="command")
    with untouched.copy() as folder:
        values.put(folder / name, new)
        typed(group, command, folder, of="hostile records")


REDS = (
    *(("", outcome) for outcome in ("ok", "run_failed", "unsupported")),
    *((metric, "mismatch") for metric in world.HELD),
)
# the garbage is what its outcome is of; its browser has none
CELL = {"": world.cell_id("dynamic_int8")} | {metric: id for metric, (id, _) in world.HELD.items()}
RESULT = {metric: f"results/{stem(id)}.json" for metric, id in CELL.items()}


@pytest.mark.parametrize(("metric", "outcome"), REDS)
def test_each_budget_that_tampering_is_tried_on_is_broken_at_first(untouched, metric, outcome):
    with untouched.copy() as folder:
        (folder / "budgets.toml").write_text(world.budgets(untouched.truth, metric, outcome))
        assert typed(group, ["check"], folder, of="setting up").code == 10


@examples("tampered")
@given(data=st.data())
def test_a_tampered_result_never_makes_a_red_check_green(untouched, data):
    metric, outcome = data.draw(st.sampled_from(REDS), label="broken")
    original = content(untouched.folder, RESULT[metric])
    # a result that is not there is a cell that was not run, which a budget may let pass
    new = data.draw(values.record(original).filter(lambda new: new != "no file"), label="content")
    tampered(untouched, metric, outcome, new)


def tampered(untouched, metric: str, outcome: str, new: bytes | str) -> None:
    """Hold that a check which the truth makes red stays so with another content of a result."""
    with untouched.copy() as folder:
        (folder / "budgets.toml").write_text(world.budgets(untouched.truth, metric, outcome))
        values.put(folder / RESULT[metric], new)
        ended = typed(group, ["check", "--verbose"], folder, of="tampered results, broken budgets")
        assert ended.code != 0, ended.out
        assert (CELL[metric], metric or "outcome") not in GREEN.findall(ended.out), ended.out


# each of these was green once; None stands for a link to nothing
TAMPERED = {
    "its largest error": ("max_abs_error", "mismatch", {"max_abs_error": 0.0}),
    "its calibration error": ("ece", "mismatch", {"ece": 0.0}),
    "an outcome that no kept result has": ("", "ok", {"outcome": "skipped"}),
    "an outcome that its logits do not bear out": ("", "run_failed", {"outcome": "run_failed"}),
    "a result of another device that is none": ("same_as_desktop", "mismatch", b"{"),
    "a link to nothing": ("", "ok", "link to nothing"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_does_not_count(untouched, what):
    metric, outcome, new = TAMPERED[what]
    if isinstance(new, dict):
        new = json.dumps(json.loads(content(untouched.folder, RESULT[metric])) | new).encode()
    tampered(untouched, metric, outcome, new)


FILES = ("artifacts/*-int8.onnx", "artifacts/*.npz", "budgets.toml", "results/instructions/*", "results/placements/*",
         "results/layers/*", "results/latency/*", "results/compatibility/*", "results/logits/*")  # fmt: skip


@pytest.mark.parametrize("glob", FILES)
def test_nothing_waits_for_somebody_who_writes_into_a_fifo(untouched, glob):
    with untouched.copy() as folder:
        values.replaced(min(folder.glob(glob)), "FIFO")
        for command in (["check"], ["report", "--report", "report"]):
            typed(group, command, folder, of="FIFOs")


@examples("arrays")
@given(data=st.data())
def test_hostile_logits_and_references_are_a_sentence(untouched, data):
    names = [f"results/logits/{stem(id)}.npy" for id in untouched.truth if "dynamic" not in id]
    reference = f"artifacts/{world.MODEL}.reference.npz"
    name = data.draw(st.sampled_from((*names, *[reference] * len(names))), label="array")
    strategy = values.reference if name == reference else values.logits
    new = data.draw(strategy(content(untouched.folder, name)), label="content")
    command = data.draw(st.sampled_from(COMMANDS), label="command")
    with untouched.copy() as folder:
        values.put(folder / name, new)
        typed(group, command, folder, of="hostile logits and references")


SPOILED = ("a broken file", "another count", "another error", "no logits", "broken logits", "a skipped result")


@pytest.mark.parametrize("how", SPOILED)
def test_what_does_not_count_is_repaired_by_the_command_that_the_check_names(untouched, how):
    id = world.cell_id("int8")
    with untouched.copy() as folder:
        result, logits = folder / "results" / f"{id}.json", folder / "results" / "logits" / f"{id}.npy"
        original = json.loads(result.read_text())
        path, new = {
            "a broken file": (result, b"{"),
            "another count": (result, {"correct": original["correct"] - 1, "lost": original["lost"] + 1}),
            "another error": (result, {"max_abs_error": 0.0}),
            "a skipped result": (result, {"outcome": "skipped"}),
            "no logits": (logits, "no file"),
            "broken logits": (logits, logits.read_bytes()[:-1]),
        }[how]
        values.put(path, json.dumps(original | new).encode() if isinstance(new, dict) else new)
        spoiled = typed(group, ["check"], folder, of="repairs")
        assert spoiled.code == 11, spoiled.out
        assert f"--only {id}" in spoiled.out.replace("'", ""), spoiled.out
        assert typed(group, ["run", "--only", id], folder, of="repairs").code == 0
        assert typed(group, ["check"], folder, of="repairs").code == 0
