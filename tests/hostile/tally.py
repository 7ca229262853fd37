"""`python -m tests.hostile.tally`: the 2,000 examples, and as a Markdown table how often each exit code came."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.hostile.cli import TALLY


def markdown(tally: Mapping[str, Counter[int]]) -> list[str]:
    """Return a table with a line per property and one of all: commands, and how often each exit code came."""
    every = {**tally, "all": sum(tally.values(), Counter())}
    codes = sorted(every["all"])
    rows = [("property", "commands", *(f"exit {code}" for code in codes)), ("---", *["--:"] * (len(codes) + 1))]
    for name, counts in every.items():
        rows.append((name, f"{counts.total():,}", *(f"{counts[code]:,}" if counts[code] else "" for code in codes)))
    return [f"| {' | '.join(row)} |" for row in rows]


def show(reporter: Any) -> None:
    """Write the table at the end of a test run."""
    drawn = {name: counts for name, counts in TALLY.items() if name != "setting up"}
    if drawn:
        reporter.section("what hostile inputs ended as")
        for line in markdown(drawn):
            reporter.write_line(line)


if __name__ == "__main__":
    arguments = [sys.executable, "-m", "pytest", "-q", "tests/hostile"]
    sys.exit(subprocess.run(arguments, env={**os.environ, "HYPOTHESIS_PROFILE": "ci"}, check=False).returncode)
