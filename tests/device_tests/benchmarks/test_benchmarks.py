"""What a comparison with an earlier checkout, or with another way of timing, says; nothing is exported here."""

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.latency import Interval
from export import artifact as artifacts
from models.common.errors import DataError, EdgewiseError
from tests.device_tests.benchmarks import bare, releases
from tests.device_tests.benchmarks.overhead import Comparison
from tests.device_tests.benchmarks.releases import Side, command
from tests.device_tests.conftest import artifact


def test_the_last_tag_or_else_the_commit_that_wrote_the_last_release_down_or_a_named_one_is_compared_with(tmp_path):
    """In a repository whose second of three commits writes a release into the changelog."""
    repository = tmp_path / "repository"
    repository.mkdir()
    git = partial(releases.git, "-c", "user.name=a", "-c", "user.email=a@b", root=repository)
    git("init", "-q")
    for text in ("# Changelog\n", "# Changelog\n\n## 0.1.0\n", "# Changelog\n\n## Unreleased\n\n## 0.1.0\n"):
        (repository / "CHANGELOG.md").write_text(text)
        git("add", ".")
        git("commit", "-q", "-m", "a change")
    assert releases.earlier(None, repository) == git("rev-parse", "HEAD~1")
    assert releases.earlier("HEAD~2", repository) == git("rev-parse", "HEAD~2")
    with pytest.raises(DataError, match="knows no revision 'v9'"):
        releases.earlier("v9", repository)
    for tag, revision in (("v0.0.9", "HEAD~2"), ("v0.1.0", "HEAD")):  # that of this very commit is no earlier release
        git("tag", tag, revision)
        assert releases.earlier(None, repository) == git("rev-parse", "HEAD~2")
    git("checkout", "-q", "HEAD~2")
    git("tag", "-d", "v0.0.9", "v0.1.0")
    with pytest.raises(DataError, match="no earlier release.*--against REVISION"):
        releases.earlier(None, repository)


def test_a_verdict_needs_every_round():
    verdicts = {"less": (0.5, 0.6, 0.7), "more": (1.1, 1.2, 1.3), "too noisy to say": (0.9, 0.9, 1.1)}
    for verdict, ratios in {**verdicts, "too few rounds to say": (0.5, 0.5)}.items():
        assert releases.verdict(ratios) == verdict


def side(home: Path, **artifacts: tuple[str, int]) -> Side:
    folder = home / "artifacts1"
    folder.mkdir(parents=True)
    for id, (sha256, size) in artifacts.items():
        row = {"id": id, "sha256": sha256, "size_bytes": size, "outcome": "ok" if size else "unsupported"}
        (folder / f"{id}.json").write_text(json.dumps(row))
    return Side(name="a", root=home, home=home)


def test_sizes_are_compared_of_what_both_made_and_what_is_gone_is_named(tmp_path):
    then = side(tmp_path / "then", a=("1", 100), b=("2", 100), c=("3", 100), d=("", 0))
    now = side(tmp_path / "now", a=("1", 100), b=("9", 50), d=("4", 10))
    lines = releases.sizes(then, now, 1)
    assert lines == "1 of 2 artifacts have the same bytes; all together weigh 0.7500 of what they did. Not made now: c."


def test_counts_are_compared_of_what_both_counted_and_with_the_goal(tmp_path):
    for scheme in ("float32", "int8", "dynamic_int8"):
        artifacts.save(artifact(f"m-tflite-{scheme}", macs=1_600_000), tmp_path)
    then = {"m-tflite-float32": 800_000, "m-tflite-int8": 400_000, "m-tflite-dynamic_int8": 200_000, "m-tflite-int4": 9}
    now = {"m-tflite-float32": 800_000, "m-tflite-int8": 100_000, "m-tflite-dynamic_int8": 400_000}
    assert releases.counted(then, now, tmp_path) == (
        "Instructions on cortex-a76 of 3 artifacts: 0.794 of what they were (m-tflite-int8 0.250, m-tflite-dynamic_int8 2.000). "
        "Of 2 in 8 bits, 1 reach the goal of the core's limit, 1 did."
    )
    assert releases.counted({}, now, tmp_path) == "No artifact was counted by both."


def test_both_are_measured_in_turns_and_the_first_round_is_not_counted(tmp_path, monkeypatch):
    order = []

    def measure(side, round_, ids, *, runs):
        order.append((round_, side.name))
        took = 2.0 if side.name == "this checkout" else 4.0
        side.figures.setdefault("export_s", []).append(took * round_)

    monkeypatch.setattr(releases, "measure", measure)
    monkeypatch.setattr(releases, "sizes", lambda *_: "as they were")
    monkeypatch.setattr(releases.Side, "ids", lambda self: ["torch_cnn-onnx-int8"])
    result = CliRunner().invoke(command, ["--against", "HEAD", "--rounds", "3"])
    assert result.exit_code == 0, result.output
    assert [name == "this checkout" for _, name in order] == [True, False, False, True, True, False, False, True]
    output = " ".join(result.output.split())
    assert "4.0..12.0 │ 2.0..6.0 │ 0.500 (0.500..0.500) │ 3 │ less" in output  # ratios are taken within each round
    listed = releases.git("worktree", "list")
    assert listed
    assert "earlier" not in listed


def test_what_fails_in_the_earlier_checkout_is_a_sentence(tmp_path):
    (tmp_path / "broken.py").write_text("raise SystemExit('it is too old')")
    with pytest.raises(EdgewiseError, match="`python -m broken` of a ended with 1: it is too old"):
        Side(name="a", root=tmp_path, home=tmp_path).do("broken")


def test_a_verdict_needs_the_whole_interval_on_one_side():
    bare_loop = {(1.001, 1.009): "within", (1.011, 1.02): "beyond", (1.005, 1.02): "too noisy to say"}
    bare_loop[0.9, 1.005] = "within"  # our loop cannot be faster than nothing
    tool = {(0.98, 1.02): "within", (0.9, 0.96): "beyond", (0.96, 1.0): "too noisy to say"}
    for way, verdicts in (("bare", bare_loop), ("another tool", tool)):
        for (low, high), verdict in verdicts.items():
            ratio = Interval(value=(low + high) / 2, low=low, high=high)
            assert Comparison(id="a", way=way, turns=9, ours_ns=1.0, ratio=ratio).verdict == verdict


def test_both_ways_are_taken_in_turns_and_neither_is_always_first():
    order = []
    taken = bare.turns(lambda: order.append("ours") or 1.0, lambda: order.append("theirs") or 2.0, 2)
    assert taken == [[1.0, 1.0], [2.0, 2.0]]
    assert order[2:] == ["theirs", "ours", "ours", "theirs"]


def test_every_bare_loop_names_what_its_runtimes_function_holds():
    for name, body in bare.BARE.items():
        code = RUNTIMES.path(name).read_text()
        assert all(call.strip().split(" = ")[-1] in code for call in body.split(";")), name
