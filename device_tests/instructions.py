"""What an inference costs, to the last digit: instructions that an emulated CPU executes; never call them latency.

The probe runs under qemu's user mode with a plugin, instructions.c, that counts at each mark. Neither the machine's
load nor its model move the count, so that a budget can gate on it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from device_tests import compiled, devices, probe, worker
from device_tests.cells import Cell
from device_tests.runtimes import RUNTIMES
from export import artifact as artifacts
from models import environments, files
from models.errors import DataError, EnvironmentMissing

SOURCE = compiled.SOURCES / "instructions.c"
QEMU, CPU = "qemu-x86_64", "max"  # AVX2 and FMA as of qemu 7.2, neither AVX-512 nor VNNI
TOOLS = {QEMU: "qemu-user", "cc": "gcc", "setarch": "util-linux"}  # with the package of each on Debian
SETTLED = ("ok", "unsupported")
# All that the process sees of where it was started: hashes, threads and the stack's size depend on it.
FIXED = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, kw_only=True)
class Count:
    """Executed guest instructions of one artifact on one runtime: `samples` of one inference each, once warm."""

    artifact: str
    runtime: str
    device: str
    outcome: str = "ok"
    reason: str = ""
    samples: tuple[int, ...] = ()
    cpu: str = f"{QEMU} {CPU}"
    qemu: str = ""
    key: str = ""
    artifact_sha256: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.artifact}@{self.runtime}@{self.device}"

    @property
    def instructions(self) -> int | None:
        """The median: an inference now and then does a little more, such as allocating."""
        return statistics.median_low(self.samples) if self.samples else None

    @property
    def spread(self) -> float | None:
        """How far the samples lie apart, as a share of the median."""
        return (max(self.samples) - min(self.samples)) / self.instructions if self.samples else None


def path(results: Path, id: str) -> Path:
    """Return where the count of a cell lies: beside its result, which another run may renew."""
    return results / "instructions" / f"{id}.json"


def read(file: Path) -> Count | None:
    """Read a count, None where there is none; raises DataError where it is broken."""
    try:
        content = json.loads(file.read_text())
        lists = {name: tuple(content[name]) for name in ("samples", "notes")}
        count = Count(**{f.name: content[f.name] for f in fields(Count)} | lists)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file} is no count of instructions ({type(error).__name__}: {error}). Delete it and count again."
        raise DataError(msg) from error
    if count.id != file.stem:
        msg = f"{file} is the count of {count.id}. Delete it and count again."
        raise DataError(msg)
    return count


def require() -> None:
    """Raise EnvironmentMissing unless what counts instructions is installed."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing or os.uname().machine != "x86_64":
        lacking = ", ".join(missing) or "an x86_64 processor"
        packages = " ".join(TOOLS[tool] for tool in missing) or " ".join(TOOLS.values())
        msg = (
            f"Counting instructions needs {lacking}, which is not here. "
            f"On Debian and Ubuntu install it with: sudo apt-get install {packages}"
        )
        raise EnvironmentMissing(msg)


def run(
    cells: tuple[Cell, ...],
    *,
    artifacts_folder: Path,
    results: Path,
    force: bool,
    jobs: int,
    timeout_s: float,
    ended: Callable[[Count, bool], None],
) -> None:
    """Count each cell whose count is missing or not current; `ended` hears of each, and whether it was current."""
    require()
    plugin, version = compiled.build("instructions", "-O2", "-shared", "-fPIC"), _version()

    def settle(cell: Cell) -> tuple[Count, bool]:
        known = _count_or_known(cell, plugin, version, artifacts_folder, results, force, timeout_s)
        if not known[1] and known[0].outcome != "skipped":
            files.write_json(path(results, cell.id), asdict(known[0]))
        return known

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(settle, cell) for cell in cells]
        try:
            for future in as_completed(futures):
                ended(*future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _version() -> str:
    told = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    return told.splitlines()[0]


def _count_or_known(
    cell: Cell, plugin: Path, version: str, artifacts_folder: Path, results: Path, force: bool, timeout_s: float
) -> tuple[Count, bool]:
    names = {"artifact": cell.recipe.id, "runtime": cell.runtime, "device": cell.device}
    sidecar = artifacts.sidecar_path(artifacts_folder, cell.recipe.id)
    try:
        pins = devices.device(cell.device).pins(cell.runtime)
        artifact = artifacts.read(sidecar)
        if artifact.outcome != "ok":
            return Count(**names, outcome="skipped", reason=f"{artifact.outcome}: {artifact.reason}"), False
        file = artifacts.check(artifact, artifacts_folder)
    except (DataError, EnvironmentMissing) as error:  # not saved: it would replace a count that may still be good
        return Count(**names, outcome="skipped", reason=str(error)), False
    code = [
        files.sha256(Path(f)) for f in (SOURCE, __file__, probe.__file__, worker.__file__, RUNTIMES.path(cell.runtime))
    ]
    parts = [*code, pins, version, artifact.sha256]
    names |= {"key": hashlib.sha256(json.dumps(parts).encode()).hexdigest(), "artifact_sha256": artifact.sha256}
    try:
        known = read(path(results, cell.id))
    except DataError:
        known = None  # it is replaced
    if known and not force and known.key == names["key"] and known.outcome in SETTLED:
        return known, True
    began = time.perf_counter()
    facts = _count(cell, file, sidecar, plugin, timeout_s)
    return Count(**names, qemu=version, seconds=round(time.perf_counter() - began, 1), **facts), False


def _count(cell: Cell, file: Path, sidecar: Path, plugin: Path, timeout_s: float) -> dict:
    """Run the probe under qemu; return the fields of a count, also where it crashed or hung."""
    python = environments.python(cell.runtime, install=f"nox -s 'device_tests({cell.runtime})'")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        emulated = ("setarch", "-R", QEMU, "-cpu", CPU, "-plugin", plugin, "-d", "plugin", "-D", log)
        command = (
            *(python, probe.__file__, "--count", "--runtime", RUNTIMES.path(cell.runtime)),
            *("--artifact", file.resolve(), "--sidecar", sidecar.resolve()),
        )
        options = {"capture_output": True, "text": True, "timeout": timeout_s}
        options["env"] = {**FIXED, "PATH": os.environ["PATH"], "PYTHONPATH": str(environments.ROOT)}
        try:
            # First without emulation: Python compiles then what is not compiled yet, and a process that compiled has
            # another heap, which moves the count by a few instructions.
            subprocess.run(command, **options)
            done = subprocess.run((*emulated, *command), **options)
        except subprocess.TimeoutExpired:
            return {"outcome": "timed_out", "reason": f"no answer in {timeout_s:g} s under {QEMU}"}
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            return {"outcome": "run_failed", "reason": f"exit code {done.returncode} under {QEMU}: {last[:300]}"}
        row = json.loads(done.stdout)
        facts = {name: row[name] for name in ("outcome", "reason")} | {"notes": tuple(row["notes"])}
        return facts if row["outcome"] != "ok" else facts | {"samples": samples(log.read_text())}


def samples(log: str) -> tuple[int, ...]:
    """Return the instructions of each counted inference, the marking's own share taken off.

    The log holds a count per mark: as many inferences between marks, warm-up first, as then empty calls.
    """
    marks = [int(line) for line in log.split()]
    each = probe.WARM_UP + probe.COUNTED + 1
    if len(marks) != 2 * each:
        msg = f"the plugin saw {len(marks)} marks, not {2 * each}"
        raise AssertionError(msg)
    inferences, nothing = (
        [after - before for before, after in itertools.pairwise(half)][probe.WARM_UP :]
        for half in (marks[:each], marks[each:])
    )
    own = statistics.median_low(nothing)
    return tuple(count - own for count in inferences)
