"""`python -m device_tests.shipping`: what ships beside the model: the runtime's libraries, its cold start and its memory."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from rich.table import Table

from device_tests import devices
from device_tests.cells import Cell, cells
from device_tests.runtimes import RUNTIMES
from export import artifact as artifacts
from export.artifact import Artifact
from models import console, environments, files
from models.console import out
from models.errors import DataError, EdgewiseError

MODEL = "torch_cnn_small"  # so small that what is measured is the runtime
REPEATS = 5

# What builds for other platforms take, compressed where they are downloaded so. Facts from elsewhere, with their source.
ELSEWHERE = {
    "litert": "web: 9.70 MB, 2.92 MB compressed (@litertjs/core 2.5.3)",
    "onnxruntime": "web: 14.34 MB, 3.69 MB compressed (onnxruntime-web 1.30.0, WASM only)",
    "executorch": "Android: 6.6 MB archive, once 12 MB (ExecuTorch's pull request 17614)",
}

# Runs in the runtime's own environment: one inference from a cold start, then which libraries are mapped.
CHILD = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np
spec = importlib.util.spec_from_file_location("edgewise_runtime", sys.argv[1])
runtime = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runtime)
runtime.start(1)
infer = runtime.load(Path(sys.argv[2]), 1)
infer(np.zeros(json.loads(sys.argv[3]), np.float32))
print("answered", flush=True)
mapped = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if "/site-packages/" in line}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"mapped": sorted(m for m in mapped if ".so" in m), "peak_kb": int(status["VmHWM"].split()[0])}), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """The cost of one runtime besides its models; bytes of the shared libraries that one inference maps, without numpy.

    `cold_start_s` is from the start of the process to its first answer, the median of REPEATS warm-cache starts.
    """

    runtime: str
    artifact: str
    model_bytes: int
    libraries: int
    library_bytes: int
    stripped_bytes: int
    compressed_bytes: int
    cold_start_s: float
    peak_rss_bytes: int
    elsewhere: str


@dataclass(frozen=True, kw_only=True)
class Started:
    """What several starts of a runtime gave: seconds and bytes of each, and the libraries of the last."""

    artifact: Artifact
    seconds: tuple[float, ...]
    peaks: tuple[int, ...]
    mapped: tuple[Path, ...]


def start(cell: Cell, folder: Path) -> Started:
    """Start the cell's runtime several times, one after another."""
    artifact = artifacts.read(artifacts.sidecar_path(folder, cell.recipe.id))
    file = artifacts.check(artifact, folder)
    runs = [_start(cell.runtime, file, artifact) for _ in range(REPEATS)]
    mapped = (
        Path(name) for name in runs[-1][1]["mapped"] if "/numpy" not in name
    )  # arrays, which an app has its own of
    seconds, peaks = tuple(run[0] for run in runs), tuple(run[1]["peak_kb"] * 1024 for run in runs)
    return Started(artifact=artifact, seconds=seconds, peaks=peaks, mapped=tuple(mapped))


def measure(chosen: tuple[Cell, ...], folder: Path) -> tuple[Shipped, ...]:
    """Start the runtime of each cell, then weigh the libraries that they mapped."""
    started = {cell.runtime: start(cell, folder) for cell in chosen}
    weights = weigh({library for found in started.values() for library in found.mapped})
    rows = []
    for runtime, found in started.items():
        library_bytes, stripped_bytes, compressed_bytes = (
            sum(weights[library][i] for library in found.mapped) for i in range(3)
        )
        row = Shipped(
            runtime=runtime,
            artifact=found.artifact.id,
            model_bytes=found.artifact.size_bytes,
            libraries=len(found.mapped),
            library_bytes=library_bytes,
            stripped_bytes=stripped_bytes,
            compressed_bytes=compressed_bytes,
            cold_start_s=median(found.seconds),
            peak_rss_bytes=max(found.peaks),
            elsewhere=ELSEWHERE.get(runtime, ""),
        )
        rows.append(row)
    return tuple(rows)


def weigh(libraries: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
    """Return each library's bytes as it lies there, stripped, and stripped and compressed; two at a time.

    Several environments hold the same libraries of a gigabyte in all: equal files are weighed once.
    """
    same = defaultdict(list)
    for library in libraries:
        same[files.sha256(library)].append(library)
    groups = sorted(same.values(), key=lambda group: -group[0].stat().st_size)  # so that no large one is left for last
    with ThreadPoolExecutor(2) as pool:
        weights = pool.map(lambda group: _weigh(group[0]), groups)
        return {library: weight for group, weight in zip(groups, weights, strict=True) for library in group}


def _start(runtime: str, file: Path, artifact: Artifact) -> tuple[float, dict]:
    shape = [max(size, 1) for size in artifact.inputs[0].shape]  # -1 stands for any batch
    python = environments.python(runtime, install=f"nox -s 'device_tests({runtime})'")
    command = [str(python), "-c", CHILD, str(RUNTIMES.path(runtime)), str(file.resolve()), json.dumps(shape)]
    began = time.perf_counter()
    told, seconds = [], None
    with tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            for line in process.stdout:
                if line.strip() == "answered":
                    seconds = time.perf_counter() - began
                told.append(line)
        if process.returncode or seconds is None:
            log.seek(0)
            last = log.read().strip().splitlines()[-1:] or ["it said nothing"]
            msg = f"{runtime} did not answer {artifact.id}: {last[0]}"
            raise EdgewiseError(msg)
    return seconds, json.loads(told[-1])


def _weigh(library: Path) -> tuple[int, int, int]:
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / library.name
        shutil.copyfile(library, stripped)
        subprocess.run(["strip", "--strip-unneeded", str(stripped)], check=True, capture_output=True)
        content = stripped.read_bytes()
    return library.stat().st_size, len(content), len(gzip.compress(content, 6, mtime=0))


def subjects() -> tuple[Cell, ...]:
    """Return one cell per runtime: the small model's first float32 artifact that it takes."""
    found: dict[str, Cell] = {}
    for cell in cells():
        if cell.recipe.model == MODEL and cell.recipe.scheme == "float32" and cell.recipe.format != "eager":
            found.setdefault(cell.runtime, cell)
    return tuple(found.values())


def table(rows: tuple[Shipped, ...]) -> Table:
    """Return the rows for the terminal, the lightest runtime first."""
    drawn = Table(title=f"What ships beside a model ({MODEL}, float32), one process per start")
    drawn.add_column("runtime")
    for title in ("libraries", "MB", "stripped MB", "gzip MB", "x model", "cold start ms", "peak memory MB"):
        drawn.add_column(title, justify="right")
    drawn.add_column("elsewhere")
    for row in sorted(rows, key=lambda r: r.compressed_bytes):
        figures = (row.library_bytes / 1e6, row.stripped_bytes / 1e6, row.compressed_bytes / 1e6)
        drawn.add_row(
            row.runtime,
            str(row.libraries),
            *(f"{figure:,.1f}" for figure in figures),
            f"{row.stripped_bytes / row.model_bytes:,.0f}",
            f"{row.cold_start_s * 1e3:,.0f}",
            f"{row.peak_rss_bytes / 1e6:,.0f}",
            row.elsewhere,
        )
    return drawn


@click.command()
@click.option(
    "--artifacts", "folder", default="artifacts", show_default=True, type=click.Path(path_type=Path, file_okay=False)
)
@click.option("--out", "target", default="results/shipping.jsonl", show_default=True, type=click.Path(path_type=Path))
def command(folder: Path, target: Path) -> None:
    """Measure what each runtime costs besides the model, print it and write it."""
    console.validated()
    if not shutil.which("strip"):
        msg = "There is no `strip`, which tells a library's code from its symbols. Install it: apt-get install binutils"
        raise DataError(msg)
    every = subjects()
    for cell in every:
        devices.device(cell.device).require(cell.runtime)
    with out.status("starting the runtimes, then weighing their libraries"):
        rows = measure(every, folder)
    out.print(table(rows))
    heaviest = max(rows, key=lambda r: r.stripped_bytes)
    out.print(f"{heaviest.runtime} weighs most: {heaviest.stripped_bytes / 1e6:,.0f} MB of libraries for a model of "
              f"{heaviest.model_bytes / 1e6:.2f} MB.")  # fmt: skip
    files.write_bytes(target, "".join(json.dumps(asdict(row)) + "\n" for row in rows).encode())


if __name__ == "__main__":
    console.main(command)
