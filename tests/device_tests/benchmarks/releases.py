"""`python -m tests.device_tests.benchmarks.releases`: what this checkout does faster or smaller than an earlier one."""

import fnmatch
import json
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.table import Table

from device_tests.onboard import surroundings
from device_tests.results import bounds
from device_tests.results import instructions as counts
from device_tests.results.bounds import GOAL_CORE
from export import artifact as artifacts
from models.common import console, environments
from models.common.console import out
from models.common.environments import ROOT
from models.common.errors import DataError, EdgewiseError

CHANGELOG = "CHANGELOG.md"
RUNTIME = "litert"
TITLES = {"export_s": "export, seconds", "export_cpu_s": "export, processor seconds", "run_s": "quick run, seconds"}


def verdict(ratios: list[float]) -> str:
    """Say what every round says; one round alone says nothing of how it varies."""
    if len(ratios) < 3:
        return "too few rounds to say"
    return "less" if max(ratios) < 1 else "more" if min(ratios) > 1 else "too noisy to say"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two checkouts; `home` is for what it writes."""

    name: str
    root: Path
    home: Path
    figures: dict[str, list[float]] = field(default_factory=dict)

    def do(self, *arguments: str) -> tuple[str, float, float]:
        """Run a module of it in the environments of this checkout; return what it printed, wall-clock and processor seconds."""
        python = environments.python("core", install="nox -s tests")
        envs = {**os.environ, "EDGEWISE_ENVS": str(environments.folder().resolve())}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([python, "-m", *arguments], cwd=self.root, env=envs, capture_output=True, text=True)
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
            msg = f"`python -m {' '.join(arguments[:2])}` of {self.name} ended with {done.returncode}: {last[0]}"
            raise EdgewiseError(msg)
        return done.stdout, took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def ids(self) -> list[str]:
        return [word for word in self.do("export", "--list")[0].split() if word.count("-") == 2]

    def digests(self, round_: int) -> dict[str, tuple[str, int]]:
        """Return digest and size of each artifact of a round."""
        sidecars = (json.loads(file.read_text()) for file in (self.home / f"artifacts{round_}").glob("[!.]*.json"))
        return {row["id"]: (row["sha256"], row["size_bytes"]) for row in sidecars if row["outcome"] == "ok"}


def git(*arguments: str, root: Path = ROOT) -> str:
    """Return what git prints, "" where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if not done.returncode else ""


def earlier(revision: str | None, root: Path = ROOT) -> str:
    """Return the commit to compare with: the one that was said, the last tag, or the one that wrote the last release down.

    Raises DataError where there is none.
    """
    if revision:
        if commit := git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", root=root):
            return commit
        msg = f"git knows no revision {revision!r} here. `git log --oneline` lists them; a shallow clone has only some."
        raise DataError(msg)
    if tag := git("describe", "--tags", "--abbrev=0", "HEAD^", root=root):
        return git("rev-parse", f"{tag}^{{commit}}", root=root)
    if release := re.search(r"^## \d\S*", (root / CHANGELOG).read_text(), re.MULTILINE):
        commits = git("log", "--reverse", "--format=%H", f"-S{release[0]}", "--", CHANGELOG, root=root).split()
        if commits and commits[0] != git("rev-parse", "HEAD", root=root):
            return commits[0]
    msg = f"There is no earlier release to compare with: no tag, and no commit that put a release into {CHANGELOG}. Name one with --against REVISION."
    raise DataError(msg)


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """Check a commit out beside this checkout, and take it away again."""
    place = folder / "earlier"
    done = subprocess.run(["git", "worktree", "add", "--detach", str(place), commit], cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        raise DataError(f"git cannot check out {commit[:12]}: {done.stderr.strip().splitlines()[-1]}")
    try:
        yield place
    finally:
        git("worktree", "remove", "--force", str(place))


def measure(side: Side, round_: int, ids: list[str], *, runs: bool) -> None:
    """Export, and run quickly what was exported, once; what is taken is added to the side's figures."""
    only = [argument for id in ids for argument in ("--only", id)]
    artifacts_folder, results = side.home / f"artifacts{round_}", side.home / f"results{round_}"
    places = ("--artifacts", str(artifacts_folder))
    _, took, cpu = side.do("export", *places, "--logs", str(side.home / "logs"), *only)
    taken = {"export_s": took, "export_cpu_s": cpu}
    if runs:
        cells = [argument for id in ids for argument in ("--only", f"{id}@*")]
        _, taken["run_s"], _ = side.do("device_tests", "run", "--quick", *places, "--results", str(results), *cells)
    for name, value in taken.items():
        side.figures.setdefault(name, []).append(value)


def sizes(then: Side, now: Side, round_: int) -> str:
    """Say which artifacts are the same, and what the others weigh."""
    old, new = then.digests(round_), now.digests(round_)
    both, lost = sorted(old.keys() & new.keys()), sorted(old.keys() - new.keys())
    if not both:
        return "No artifact was made by both."
    same = sum(old[id][0] == new[id][0] for id in both)
    bytes_ = sum(new[id][1] for id in both) / sum(old[id][1] for id in both)
    text = f"{same} of {len(both)} artifacts have the same bytes; all together weigh {bytes_:.4f} of what they did."
    return text + (f" Not made now: {', '.join(lost)}." if lost else "")


def count(side: Side, round_: int, ids: list[str]) -> dict[str, int]:
    """Return the instructions per inference of .tflite files of a round on the core of the goal, by artifact."""
    results = side.home / "counts"
    only = [argument for id in ids for argument in ("--only", f"{id}@{RUNTIME}@*")]
    side.do("device_tests", "instructions", "--device", GOAL_CORE, "--artifacts", str(side.home / f"artifacts{round_}"),
            "--results", str(results), *only)  # fmt: skip
    records = (counts.read(file) for file in sorted((results / "instructions").glob("*.json")))
    return {record.artifact: record.instructions for record in records if record and record.instructions}


def counted(then: Mapping[str, int], now: Mapping[str, int], folder: Path) -> str:
    """Say what is left of the instructions, and how many 8-bit artifacts of `folder` reach their goal of the core's limit."""
    both = sorted(then.keys() & now.keys())
    if not both:
        return "No artifact was counted by both."
    left = {id: now[id] / then[id] for id in both}
    least, most = min(both, key=left.get), max(both, key=left.get)
    exported = (artifacts.read(artifacts.sidecar_path(folder, id)) for id in both)
    goals = [artifact for artifact in exported if bounds.arithmetic(artifact.scheme) == bounds.INT8]
    reached, did = (sum(not bounds.wasted(GOAL_CORE, a, side[a.id], None) for a in goals) for side in (now, then))
    return (
        f"Instructions on {GOAL_CORE} of {len(both)} artifacts: {statistics.geometric_mean(left.values()):.3f} of what "
        f"they were ({least} {left[least]:.3f}, {most} {left[most]:.3f}). "
        f"Of {len(goals)} in 8 bits, {reached} reach the goal of the core's limit, {did} did."
    )


def table(then: Side, now: Side, title: str) -> Table:
    shown = Table("figure", "then", "now", "now / then", "n", "says", title=title)
    for name, before in then.figures.items():
        after = now.figures[name]
        ratios = sorted(new / old for old, new in zip(before, after, strict=True))  # by pairs of one round
        spans = (f"{min(figures):.1f}..{max(figures):.1f}" for figures in (before, after))
        middle = f"{ratios[len(ratios) // 2]:.3f} ({ratios[0]:.3f}..{ratios[-1]:.3f})"
        shown.add_row(TITLES[name], *spans, middle, str(len(ratios)), verdict(ratios))
    return shown


@click.command()
@click.option(
    "--against", metavar="REVISION", help="The earlier revision.  [default: the last tag, or release of CHANGELOG.md]"
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 50), help="Exports of each, in turns.")
@click.option("--only", "patterns", multiple=True, metavar="GLOB", help="Only artifacts whose id matches.")
@click.option("--run", "runs", is_flag=True, help="Also run what was exported, quickly.")
@click.option(
    "--count",
    "counts_too",
    is_flag=True,
    help=f"Also count the instructions of .tflite files on an emulated {GOAL_CORE}.",
)
def command(against: str | None, rounds: int, patterns: tuple[str, ...], runs: bool, counts_too: bool) -> None:
    """Compare this checkout with an earlier one, in turns on this machine: export times, sizes and, with --run, a quick run.

    With --count, also how near .tflite files come to the limit of a core; counts are exact, and are taken once.

    Both use the environments of this checkout. What both fine-tuned before is taken from the cache; a first export of
    each, which is not counted, fills it.
    """
    console.validated()
    commit = earlier(against)
    with tempfile.TemporaryDirectory() as folder, checkout(commit, Path(folder)) as root:
        then = Side(name=commit[:12], root=root, home=Path(folder) / "then")
        now = Side(name="this checkout", root=ROOT, home=Path(folder) / "now")
        earlier_ids = set(then.ids())
        globs = patterns or ("*",)
        ids = [id for id in now.ids() if id in earlier_ids and any(fnmatch.fnmatchcase(id, p) for p in globs)]
        if not ids:
            raise DataError(f"{commit[:12]} and this checkout have no artifact in common that was asked for.")
        for round_ in range(rounds + 1):
            for side in (then, now) if round_ % 2 else (now, then):
                with out.status(f"round {round_} of {rounds}: {side.name}"):
                    measure(side, round_, ids, runs=runs)
            if not round_:
                then.figures.clear()
                now.figures.clear()
        machine = f"{surroundings.cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
        out.print(table(then, now, f"{len(ids)} artifacts, now against {commit[:12]}: {machine}"))
        out.print(sizes(then, now, rounds))
        if counts_too:
            tflite = [id for id in ids if "-tflite-" in id]
            with out.status("counting instructions"):
                before, after = (count(side, rounds, tflite) for side in (then, now))
            out.print(counted(before, after, now.home / f"artifacts{rounds}"))


if __name__ == "__main__":
    console.main(command)
