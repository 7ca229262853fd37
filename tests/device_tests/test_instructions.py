"""Counts of instructions: what is read from the plugin's log, what is kept, and real counts under qemu."""

from __future__ import annotations

import base64
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from device_tests import instructions, probe
from device_tests.cells import cells, select
from models.errors import DataError, EnvironmentMissing

ID = "torch_cnn_small-torchscript-float32"
GOLDEN = ({"image_u8": base64.b64encode(bytes(784)).decode(), "logits": [1.0] + [0.0] * 9},)


def log(inference: int, nothing: int) -> str:
    steps = [inference + nothing] * (probe.WARM_UP + probe.COUNTED) + [17] + [nothing] * (probe.WARM_UP + probe.COUNTED)
    return "".join(f"{count}\n" for count in np.cumsum([1_000_000, *steps]))


def test_the_marks_own_share_is_taken_off():
    assert instructions.samples(log(5_000, 300)) == (5_000,) * probe.COUNTED


def test_a_log_of_too_few_marks_is_no_count():
    with pytest.raises(AssertionError, match="marks"):
        instructions.samples("1\n2\n")


def test_the_median_is_a_sample_and_the_spread_is_told():
    count = instructions.Count(artifact="a", runtime="r", device="d", samples=(100, 100, 110, 104))
    assert (count.instructions, count.spread) == (100, 0.1)
    assert instructions.Count(artifact="a", runtime="r", device="d").instructions is None


def test_a_broken_or_foreign_count_is_told(tmp_path):
    file = instructions.path(tmp_path, f"{ID}@torch@desktop")
    assert instructions.read(file) is None
    file.parent.mkdir()
    file.write_text("{}")
    with pytest.raises(DataError, match="Delete it"):
        instructions.read(file)


def test_a_missing_emulator_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == instructions.QEMU else f"/usr/bin/{tool}")
    with pytest.raises(EnvironmentMissing, match="qemu-x86_64.*sudo apt-get install qemu-user$"):
        instructions.require()


def test_probe_and_plugin_agree_on_the_mark():
    assert f"{probe.MARK:#010x}" in instructions.SOURCE.read_text()


needs_qemu = pytest.mark.skipif(
    not all(map(shutil.which, instructions.TOOLS)), reason=f"needs {', '.join(instructions.TOOLS)}"
)


@pytest.fixture
def count(folders, monkeypatch):
    """Return a function that counts the test's artifact on a fake runtime."""
    from tests.device_tests.conftest import save_artifact

    monkeypatch.setenv("EDGEWISE_CACHE", str(folders.environments / "cache"))
    save_artifact(folders.bench.artifacts, np.eye(784, 10, dtype=np.float32), golden=GOLDEN)

    def run(name: str, **changes) -> tuple[instructions.Count, bool]:
        home = folders.environments / name
        (home / "bin" / "python").unlink()  # a script, which qemu cannot emulate
        (home / "bin" / "python").symlink_to(sys.executable)
        if not (home / "lib").exists():
            (home / "lib").symlink_to(Path(sys.prefix) / "lib")
            shutil.copy(Path(sys.prefix) / "pyvenv.cfg", home)
        heard = []
        options = {"force": False, "jobs": 1, "timeout_s": 120.0} | changes
        instructions.run(
            select(cells(), runtimes=(name,), patterns=(ID,)),
            artifacts_folder=folders.bench.artifacts,
            results=folders.bench.results,
            ended=lambda *end: heard.append(end),
            **options,
        )
        return heard[0]

    return run


@needs_qemu
@pytest.mark.slow
def test_two_counts_are_identical_and_the_second_run_finds_the_first(folders, count):
    name = folders.runtime("honest")
    first, again, known = count(name), count(name, force=True), count(name)
    assert first[0].outcome == "ok"
    assert first[0].samples == again[0].samples
    assert first[0].instructions > 7_840  # multiplications and additions, eight at a time, and Python around them
    assert (first[1], again[1], known[1]) == (False, False, True)
    assert known[0] == again[0]
    assert instructions.read(instructions.path(folders.bench.results, again[0].id)) == again[0]


@needs_qemu
@pytest.mark.slow
def test_more_work_is_more_instructions(folders, count):
    few = count(folders.runtime("few"))[0].instructions
    many = count(folders.runtime("many", "def answer(logits):\n    for i in range(1000): pass\n    return logits"))
    assert many[0].instructions > few + 1_000


@needs_qemu
@pytest.mark.slow
def test_what_cannot_be_counted_is_a_row(folders, count):
    crash, refusal, hang = (
        count(folders.runtime(name, f"def load(path, threads):\n    {code}"), timeout_s=20.0)[0]
        for name, code in (
            ("crashes", "os.abort()"),
            ("refuses", "raise ValueError('does not know the op')"),
            ("hangs", "time.sleep(600)"),
        )
    )
    assert crash.outcome == "run_failed"
    assert (refusal.outcome, refusal.reason) == ("unsupported", "ValueError: does not know the op")
    assert (hang.outcome, hang.samples) == ("timed_out", ())
