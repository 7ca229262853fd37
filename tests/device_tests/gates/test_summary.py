"""What CI is told: JUnit XML, a Markdown summary and annotations."""

from pathlib import Path

from junitparser import Failure, JUnitXml, Skipped
from msgspec.structs import replace

from device_tests.gates import junit, summary, verdicts
from device_tests.gates.baseline import Comparison
from device_tests.gates.budgets import Budget
from device_tests.gates.evidence import Lack
from device_tests.gates.verdicts import Verdict
from tests.device_tests.conftest import measured

SIZE = Budget(ids=("*",), metric="size_bytes", why="because", max=1_000, line=3)
TOP1 = Budget(ids=("*",), metric="top1", why="because", min=0.9, line=9)


def failed(id: str = "a@b@c", **facts) -> Verdict:
    return Verdict(**{"id": id, "metric": "size_bytes", "state": "fail", "message": "too large", "excess": 1.0} | facts)


def test_junit_has_a_case_per_cell_and_per_budget_and_takes_any_character(tmp_path):
    rows = (
        measured(scheme="int8", seconds=1.5),
        measured(size_bytes=1_500, correct=5, seconds=2.0),
        measured(scheme="int4", outcome="skipped", reason="not run"),
    )
    file, limits = tmp_path / "junit.xml", (SIZE, TOP1)
    junit.write(file, rows, limits, verdicts.check(limits, rows))
    cells, held = JUnitXml.fromfile(str(file))
    assert [case.name for case in cells] == [row.id for row in rows]
    assert [[type(r) for r in case.result] for case in cells] == [[], [Failure], [Skipped]]
    assert [line.split(":")[0] for line in list(cells)[1].result[0].text.splitlines()] == ["top1", "size_bytes"]
    assert (cells.tests, cells.failures, cells.skipped, cells.time) == (3, 1, 1, 3.5)
    assert [case.name for case in held] == ["size_bytes of * (line 3)", "top1 of * (line 9)"]
    assert (held.tests, held.failures) == (2, 2)
    printed = "\x1b[31m<not & 'XML'> \x00 \ufffe ]]> é"
    named = replace(rows[0], device="moon\x01")  # whatever a file of results calls its device
    junit.write(file, (named, *rows[1:]), (), (failed(rows[1].id, message=printed),))
    cells, _ = JUnitXml.fromfile(str(file))
    assert next(iter(cells)).name.endswith("@moon?")
    assert list(cells)[1].result[0].message == "size_bytes: ?[31m<not & 'XML'> ? ? ]]> é"


def test_the_summary_shows_only_what_broke_and_changed_worst_first_and_what_does_not_fit_is_said():
    verdicts = [failed("bad", excess=0.1), failed("worse", excess=2.0), failed("fine", state="pass", message="5")]
    new = (failed(id, state="skipped", message="not in the baseline") for id in ("new", "newer"))
    changes = (failed("shrank", excess=-0.5), failed("grew", excess=0.5), *new)
    text = summary.markdown(verdicts, Comparison(verdicts=changes, unchanged=0))
    assert [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| ❌")] == ["worse", "bad", "grew", "shrank"]  # fmt: skip
    assert "fine" not in text
    assert "2 × size\\_bytes: not in the baseline" in text
    assert "1 limits kept, 2 broken, 0 skipped" in text

    assert "nothing that can be compared changed" in summary.markdown([], Comparison(verdicts=(), unchanged=1))
    assert "no baseline" in summary.markdown([], None)
    verdicts = [failed(f"cell {i}", message="ä" * 10_000) for i in range(1_000)]
    text = summary.markdown(verdicts, Comparison(verdicts=tuple(verdicts), unchanged=0))
    assert 40_000 < len(text.encode()) < summary.LIMIT_BYTES
    assert text.count("more rows do not fit here") == 2


def test_reasons_can_neither_break_the_table_nor_call_people_nor_hold_control_sequences():
    text = summary.markdown([failed("x@y@z", message="a | b\n<script> @someone [l](u)")], None)
    assert "| x&#64;y&#64;z | size_bytes | a \\| b &#60;script&#62; &#64;someone \\[l\\](u) |" in text
    evil = failed("x@y@z", message="\x1b]0;title\x07\x1b[31mred\x1b[0m\u202e ![](http://a.b/c) www.a.b # @me <script>")
    text = summary.markdown([evil], None) + summary.annotations([evil], (), Path("b"))[0]
    assert not any(character in text for character in "\x1b\x07\u202e")
    assert "http://" not in summary.markdown([evil], None)


def test_an_annotation_per_broken_budget_points_to_its_line():
    cells = [failed(f"cell{i}", budget=SIZE, message="100 % more,\nreally") for i in range(7)]
    unclaimed = failed("grew", metric="instructions")
    first, second = summary.annotations([*cells, unclaimed], (), Path("conf") / "budgets.toml")
    begin = "::error file=conf/budgets.toml,line=3,title=size_bytes%3A 7 broken::cell0: 100 %25 more,%0A"
    assert first.startswith(begin)
    assert first.endswith("%0Aand 2 more")
    assert second == "::error title=instructions%3A 1 not as in the baseline::grew: too large"
    assert summary.annotations([failed(state="pass")], (), Path("b")) == []


def test_a_lack_of_evidence_is_in_all_that_ci_is_told(tmp_path):
    lack = Lack(id="*@phone", why="no result of phone counts")
    text = summary.markdown([], None, (lack,))
    assert "not enough evidence" in text
    assert "no result of phone counts" in text
    (line,) = summary.annotations([], (lack,), Path("b"))
    assert line == "::error title=no evidence: 1::*@phone: no result of phone counts"
    junit.write(tmp_path / "junit.xml", (), (), (), (lack,))
    *_, ((case),) = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert [type(result) for result in case.result] == [Failure]
