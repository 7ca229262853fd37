"""Whatever stands in a record: a sentence, a documented exit code, and no green that the truth does not bear out."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_tests.__main__ import group
from tests.hostile import values, world
from tests.hostile.conftest import examples
from tests.hostile.typed import Ended, typed

COMMANDS = (
    ["check", "--baseline", "baseline.json", "--junit", "junit.xml", "--summary", "summary.md", "--verbose"],
    ["check", "--update-baseline"],
    ["report", "--report", "report"],
    ["add", "page.json"],
)
TALLY = re.compile(r"^budgets: ([\d,]+) passed, ([\d,]+) failed", re.MULTILINE)
GREEN = re.compile(r"^pass (\S+) (\S+):", re.MULTILINE)


def judged(ended: Ended) -> None:
    """Hold that a green check has judged something, and found nothing broken."""
    if ended.code == 0:
        passed, failed = (int(number.replace(",", "")) for number in TALLY.search(ended.out).groups())
        assert (passed > 0, failed) == (True, 0), ended.out


@cache
def content(untouched: Path, name: str) -> bytes:
    return (untouched / name).read_bytes()


@examples("records")
@given(data=st.data())
def test_a_hostile_record_is_a_sentence(untouched, project, data):
    name = data.draw(st.sampled_from((*untouched.records, "page.json")), label="record")
    new = data.draw(values.record(content(untouched.folder, name)), label="content")
    command = ["add", "page.json"] if name == "page.json" else data.draw(st.sampled_from(COMMANDS), label="command")
    with project() as folder:
        values.put(folder / name, new)
        ended = typed(group, command, folder, of="hostile records")
        if command[0] == "check":
            judged(ended)


REDS = (
    *(("", outcome) for outcome in ("ok", "run_failed", "unsupported")),
    *((metric, "mismatch") for metric in world.HELD),
)
# the garbage is what its outcome is of; its browser has none
CELL = {"": world.cell_id("dynamic_int8")} | {metric: id for metric, (id, _) in world.HELD.items()}


@pytest.mark.parametrize(("metric", "outcome"), REDS)
def test_each_budget_that_tampering_is_tried_on_is_broken_at_first(untouched, project, metric, outcome):
    with project() as folder:
        (folder / "budgets.toml").write_text(world.budgets(untouched.truth, metric, outcome))
        assert typed(group, ["check"], folder, of="setting up").code == 10


@examples("tampered")
@given(data=st.data())
def test_a_tampered_result_never_makes_a_red_check_green(untouched, project, data):
    metric, outcome = data.draw(st.sampled_from(REDS), label="broken")
    id = CELL[metric]
    name = f"results/{id.replace(':', '%3A')}.json"
    known = content(untouched.folder, name)
    # a result that is not there is a cell that was not run, which a budget may let pass
    new = data.draw(values.record(known).filter(lambda new: new != "no file"), label="content")
    tampered(untouched, project, metric, outcome, name, new)


def tampered(untouched, project, metric: str, outcome: str, name: str, new: bytes | str) -> None:
    """Hold that a check which the truth makes red stays so with another content of a result."""
    with project() as folder:
        (folder / "budgets.toml").write_text(world.budgets(untouched.truth, metric, outcome))
        values.put(folder / name, new)
        ended = typed(group, ["check", "--verbose"], folder, of="tampered results, broken budgets")
        assert ended.code != 0, ended.out
        assert (CELL[metric], metric or "outcome") not in GREEN.findall(ended.out), ended.out


@examples("arrays")
@given(data=st.data())
def test_hostile_logits_and_references_are_a_sentence(untouched, project, data):
    names = [f"results/logits/{id.replace(':', '%3A')}.npy" for id in untouched.truth if "dynamic" not in id]
    reference = f"artifacts/{world.MODEL}.reference.npz"
    name = data.draw(st.sampled_from((*names, *[reference] * len(names))), label="array")
    strategy = values.reference if name == reference else values.logits
    new = data.draw(strategy(content(untouched.folder, name)), label="content")
    command = data.draw(st.sampled_from(COMMANDS), label="command")
    with project() as folder:
        values.put(folder / name, new)
        ended = typed(group, command, folder, of="hostile logits and references")
        if command[0] == "check":
            judged(ended)
