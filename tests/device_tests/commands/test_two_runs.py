"""Two runs at once on one machine, in processes of their own: neither takes times beside the other."""

from __future__ import annotations

import os
import subprocess
import sys

from models.environments import ROOT
from tests.device_tests.commands.test_killed import COMMAND, ID, LIMIT

# Notes when its timing began and ended; whoever else is timing at that moment would come between.
NOTED = """
def answer(logits):
    if calls in (2, 160):
        with open({spans!r}, "a") as file:
            file.write(f"{{calls}} {{os.getpid()}}\\n")
    time.sleep(0.0005)
    return logits
"""


def test_two_runs_never_take_times_at_once(folders, tmp_path):
    spans = tmp_path / "spans"
    for i in range(2):
        folders.runtime(f"noted{i}", NOTED.format(spans=str(spans)))
    (tmp_path / "budgets.toml").write_text(LIMIT)
    facts = {"RUNTIMES": str(folders.runtimes), "KILLED": "0", "EDGEWISE_CACHE": str(tmp_path / "cache")}

    def start(results: str) -> subprocess.Popen:
        places = ["--artifacts", folders.bench.artifacts, "--results", tmp_path / results, "--only", ID]
        command = [sys.executable, "-c", COMMAND, "run", *places, "--budgets", tmp_path / "budgets.toml"]
        return subprocess.Popen(
            list(map(str, command)), cwd=ROOT, env={**os.environ, **facts}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    both = [start("one"), start("other")]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    lines = [line.split() for line in spans.read_text().splitlines()]
    assert [call for call, _ in lines] == ["2", "160"] * 4
    assert all(lines[i][1] == lines[i + 1][1] for i in range(0, 8, 2))
