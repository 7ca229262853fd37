"""What ships beside the model: the runtime's libraries, its cold start and its memory."""

import gzip
import json
import math
import shutil
import subprocess
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from device_tests import current_results
from device_tests.cells import EAGER, Cell, cells, timed
from device_tests.machine_lock import MachineLock
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results.shipping import Footprint
from device_tests.transport.deadline import deadline
from export import artifact as artifacts
from models import data
from models.common import environments, files, processes, provenance, records
from models.common.errors import DataError, EdgewiseError, StorageError, Unsupported
from models.common.records import Count

Weight = tuple[int, int, int]  # bytes of a library: as it lies there, stripped, stripped and compressed
MOST_STARTS, ALIKE = 3, 0.05  # most starts; no more once the two shortest differ by less than this share
TIMEOUT_S = 120.0  # for a start that hangs

# Sizes of builds for other platforms, with their sources; compressed where they are downloaded compressed.
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
class Started:
    """Several starts of a runtime: seconds and peak bytes of each, and the libraries that the last one mapped."""

    artifact: artifacts.Artifact
    seconds: tuple[float, ...]
    peaks: tuple[int, ...]
    mapped: tuple[Path, ...]


def start(cell: Cell, folder: Path, machine: MachineLock) -> Started:
    """Start the cell's runtime several times, each alone on the machine.

    Raises Unsupported where the runtime's format cannot hold the network, EdgewiseError where the runtime fails.
    """
    artifact = artifacts.read(artifacts.sidecar_path(folder, cell.recipe.id))
    if artifact.outcome == "unsupported":
        raise Unsupported(f"{artifact.id} is unsupported: {artifact.reason}")
    file = artifacts.check(artifact, folder)
    runs = []
    while len(runs) < MOST_STARTS and not _alike([seconds for seconds, _ in runs]):
        with machine.alone():
            runs.append(_start(cell.runtime, file, artifact))
    seconds, peaks = tuple(run[0] for run in runs), tuple(run[1]["peak_kb"] * 1024 for run in runs)
    mapped = (Path(name) for name in runs[-1][1]["mapped"] if "/numpy" not in name)  # numpy, which an app does not ship
    return Started(artifact=artifact, seconds=seconds, peaks=peaks, mapped=tuple(mapped))


def _alike(seconds: list[float]) -> bool:
    """Tell whether the two shortest starts take the same time; a disturbed start takes longer."""
    shortest = sorted(seconds)
    return len(seconds) > 1 and shortest[1] <= shortest[0] * (1 + ALIKE)


def weighed(runtime: str, started: Started, weights: dict[Path, Weight]) -> Footprint:
    """Return the costs of a runtime that was started."""
    names = ("library_bytes", "stripped_bytes", "compressed_bytes")
    return Footprint(
        runtime=runtime,
        artifact=started.artifact.id,
        model_bytes=started.artifact.size_bytes,
        libraries=len(started.mapped),
        **{name: sum(weights[library][i] for library in started.mapped) for i, name in enumerate(names)},
        cold_start_s=median(started.seconds),
        peak_rss_bytes=max(started.peaks),
        elsewhere=ELSEWHERE.get(runtime, ""),
        versions=current_results.pinned(runtime),
    )


def weigh(libraries: Iterable[Path]) -> dict[Path, Weight]:
    """Return each library's bytes as it is, stripped, and stripped and compressed; two are weighed at a time.

    The environments hold a gigabyte of libraries, many of them equal: of these one is weighed. Raises EdgewiseError
    where one cannot be stripped.
    """
    same = defaultdict(list)
    for library in libraries:
        same[files.sha256(library)].append(library)
    # the largest first, so that none of them starts last
    groups = sorted(same.values(), key=lambda group: -group[0].stat().st_size)
    with ThreadPoolExecutor(2) as pool:
        weights = pool.map(lambda group: _remembered(group[0]), groups)
        return {library: weight for group, weight in zip(groups, weights, strict=True) for library in group}


def _start(runtime: str, file: Path, artifact: artifacts.Artifact) -> tuple[float, dict]:
    shape = [max(size, 1) for size in artifact.inputs[0].shape]  # -1 stands for any batch
    python = environments.python(runtime, install=f"nox -s 'device_tests({runtime})'")
    command = [str(python), "-c", CHILD, str(RUNTIMES.path(runtime)), str(file.resolve()), json.dumps(shape)]
    began = time.perf_counter()
    lines, seconds = [], None
    with tempfile.TemporaryFile("w+") as log:
        pipes = {"stdout": subprocess.PIPE, "stderr": log, "text": True, "errors": "replace"}
        process = subprocess.Popen(command, **pipes, start_new_session=True)
        with process:
            try:
                with deadline(process, TIMEOUT_S):
                    for line in process.stdout:
                        if line.strip() == "answered":
                            seconds = time.perf_counter() - began
                        lines.append(line)
                    process.wait()
            finally:
                processes.kill(process)  # which hangs, or which an interrupt leaves behind
        if process.returncode or seconds is None:
            log.seek(0)
            words = log.read().strip() or f"it said nothing and {processes.death(process.returncode)}"
            raise EdgewiseError(f"{runtime} did not answer {artifact.id}: {words.splitlines()[-1]}")
    return seconds, json.loads(lines[-1])


def _remembered(library: Path) -> Weight:
    """Return a library's weight, from the user's cache folder if an equal one was weighed by the same programs."""
    programs = provenance.digest(_strip_version(), zlib.ZLIB_RUNTIME_VERSION, provenance.of_files((Path(__file__),)))
    file = data.cache_folder() / "libraries" / f"{files.sha256(library)}-{programs}.json"
    with suppress(DataError):
        if weight := records.read(file, tuple[Count, Count, Count], what="library's weight", remedy=""):
            return weight
    weight = _weigh(library)
    with suppress(StorageError):  # it is weighed again next time
        records.write(file, weight)
    return weight


@cache
def _strip_version() -> str:
    return subprocess.run(["strip", "--version"], capture_output=True, text=True).stdout.partition("\n")[0]


def _weigh(library: Path) -> Weight:
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / library.name
        shutil.copyfile(library, stripped)
        done = subprocess.run(["strip", "--strip-unneeded", str(stripped)], capture_output=True, text=True)
        if done.returncode:
            msg = f"{library} cannot be stripped: {done.stderr.strip()[-300:] or processes.death(done.returncode)}"
            raise EdgewiseError(msg)
        content = stripped.read_bytes()
    return library.stat().st_size, len(content), len(gzip.compress(content, 6, mtime=0))


def subjects(folder: Path) -> tuple[Cell, ...]:
    """Return one cell per runtime: the first float32 artifact of the smallest network that the runtime takes.

    A small network, so that the runtime is measured. A runtime without any artifact in the folder gets the first that
    is possible.
    """
    candidates = [c for c in timed(cells()) if c.recipe.scheme == "float32" and c.recipe.format != EAGER]
    parameters = {c.recipe.id: _parameters(folder, c.recipe.id) for c in candidates}
    smallest: dict[str, Cell] = {}
    for cell in sorted(candidates, key=lambda c: parameters[c.recipe.id]):  # stable: in the matrix' order among equals
        smallest.setdefault(cell.runtime, cell)
    return tuple(smallest.values())


def _parameters(folder: Path, id: str) -> float:
    """Return the number of parameters of an artifact's network, infinity where it was not exported."""
    with suppress(DataError):
        artifact = artifacts.read(artifacts.sidecar_path(folder, id))
        if artifact.outcome == "ok":
            return artifact.parameters
    return math.inf
