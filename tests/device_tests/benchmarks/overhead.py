"""`python -m tests.device_tests.benchmarks.overhead`: our figures against the bare runtime loop's and other tools'."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from device_tests import devices
from device_tests.cells import Cell, cells, select
from device_tests.contract import Broken
from device_tests.devices import desktop
from device_tests.machine_lock import MachineLock
from device_tests.measure.rounds import Entrant, entrants
from device_tests.results.latency import Interval, bootstrap
from models.common import console, processes
from models.common.console import out
from models.common.errors import EdgewiseError
from tests.device_tests.benchmarks import bare

OVERHEAD, TOOL = 0.01, 0.03  # how far we may lie above the bare loop, and from another tool's figure
DEFAULT = (
    "torch_cnn-tflite-float32@litert@*",
    "torch_cnn-tflite-float32@litert_compiled@*",
    "torch_cnn-onnx-float32@onnxruntime@*",
    "torch_cnn-executorch-float32@executorch@*",
    "torch_cnn-torchscript-float32@torch@*",
)
TOOL_ROUNDS, TOOL_RUNS = 15, 500


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Our figure over another way's, for one artifact, in `turns` of both."""

    id: str
    way: str
    turns: int
    ours_ns: float
    ratio: Interval

    @property
    def limit(self) -> float:
        """How far the figures may lie apart."""
        return OVERHEAD if self.way == "bare" else TOOL

    @property
    def verdict(self) -> str:
        """`within` or `beyond` the limit where the whole interval is; our loop cannot be too fast, a figure can."""
        low, high = self.ratio.low - 1, self.ratio.high - 1
        if self.way == "bare":
            low = max(low, 0.0)
        if max(-low, high) <= self.limit:
            return "within"
        return "beyond" if low > self.limit or -high > self.limit else "too noisy to say"


def compare(cell: Cell, entrant: Entrant) -> Iterator[Comparison]:
    """Yield a comparison with each other way that the runtime has."""
    ways = _bare(cell, entrant) if cell.runtime in bare.BARE else {}
    if cell.runtime == "litert_compiled":
        try:
            ways["litert-benchmark"] = _litert_benchmark(cell, entrant)
        except (Broken, OSError, subprocess.CalledProcessError) as error:
            raise EdgewiseError(f"{cell.id} cannot be timed: {error}") from error
    for way, (ours_ns, theirs_ns) in ways.items():
        ratios = ours_ns / theirs_ns
        ratio = bootstrap(len(ratios), lambda drawn, ratios=ratios: np.median(ratios[drawn], axis=-1))
        yield Comparison(id=cell.id, way=way, turns=len(ratios), ours_ns=float(np.median(ours_ns)), ratio=ratio)


def _bare(cell: Cell, entrant: Entrant) -> dict[str, np.ndarray]:
    command = desktop.command(bare.__file__, entrant.load)
    done = subprocess.run(command.argv, env=os.environ | command.env, capture_output=True, text=True)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [processes.death(done.returncode)]
        raise EdgewiseError(f"{cell.id} cannot be timed: {words[-1]}")
    return {way: np.array(taken) for way, taken in json.loads(done.stdout)["per_inference_ns"].items()}


def _litert_benchmark(cell: Cell, entrant: Entrant) -> np.ndarray:
    """Return our medians and those of the tool of the wheel, which leaves out copying the image in and the logits out."""
    ours, theirs = [], []
    tool = Path(desktop.command("", entrant.load).argv[0]).with_name("litert-benchmark")
    options = ("--num_threads", "1", "--warmup_runs", "100", "--num_runs", str(TOOL_RUNS))
    with devices.device(cell.device).loaded(entrant.load) as (_, ask), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        for _ in range(TOOL_ROUNDS):
            ask({"samples": 100, "inferences": 1})
            ours.append(np.median(ask({"samples": TOOL_RUNS, "inferences": 1})["ns"]))
            command = [tool, "--model", entrant.load.artifact, *options, "--result_json", file]
            subprocess.run(command, capture_output=True, check=True)
            theirs.append(json.loads(file.read_text())["latency"]["median_ms"] * 1e6)
    return np.array([ours, theirs])


@click.command()
@click.option("--only", "patterns", multiple=True, metavar="GLOB", help="Only what matches: ARTIFACT[@RUNTIME@DEVICE].")
@click.option("--artifacts", default="artifacts", show_default=True, type=click.Path(path_type=Path, file_okay=False))
def overhead(patterns: tuple[str, ...], artifacts: Path) -> None:
    """Compare our timing with the bare runtime loop (at most 1 % above it) and other tools' (within 3 %).

    The exit code is 1 where a figure is certainly beyond its limit; the machine should be idle.
    """
    chosen = select(cells(), runtimes=(), patterns=patterns or DEFAULT)
    console.validated()
    able, unable = entrants(chosen, artifacts)
    if unable:
        raise EdgewiseError(f"{unable[0].id} cannot be timed: {unable[0].reason}")
    figures = []
    machine = MachineLock(lambda text: console.err.print(console.plain(text)))
    for cell, entrant in zip(chosen, able, strict=True):
        with out.status(cell.id), machine.alone():
            figures += compare(cell, entrant)
    table = Table("artifact", "ours µs", "against", "turns", "ours / theirs", "limit", "says", title="overhead")
    for c in figures:
        interval = f"{c.ratio.value:.4f} ({c.ratio.low:.4f}..{c.ratio.high:.4f})"
        table.add_row(c.id, f"{c.ours_ns / 1e3:,.1f}", c.way, f"{c.turns:,}", interval, f"{c.limit:.0%}", c.verdict)
    out.print(table)
    if beyond := [c for c in figures if c.verdict == "beyond"]:
        raise EdgewiseError("Beyond the limit: " + ", ".join(f"{c.id} against {c.way}" for c in beyond))


if __name__ == "__main__":
    console.main(overhead)
