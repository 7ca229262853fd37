"""The exact cost of an inference: instructions that an emulated CPU executes; never call them latency.

The probe runs under qemu's user mode with a plugin, instructions.c, that counts at each mark. Neither the machine's
load nor its model changes the count, so a budget can gate on it. The guest's clocks go by instructions, too, and some
runtimes do something every few seconds, as ONNX Runtime sums up its runs. The device knows the command that runs the
probe so.
"""

import itertools
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from device_tests import current_results, devices, onboard, pool
from device_tests.cells import Cell
from device_tests.contract import Broken, Command, Load, reason_of
from device_tests.measure import c_helpers
from device_tests.onboard import probe
from device_tests.results import instructions as counts
from device_tests.results.instructions import InstructionCount
from device_tests.schedule import Closed
from device_tests.transport.dialogue import Conversations
from export import artifact as artifacts
from models.common import files, processes, provenance
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError

SOURCE = c_helpers.SOURCES / "instructions.c"
SETTLED = ("ok", "unsupported")
# the machine may be the reason: these replace no good count of the same inputs
INCONCLUSIVE = ("run_failed", "timed_out")
# The whole environment of the process: hashes, threads and the stack's size depend on it. With a seed qemu
# gives each process the same random bytes; others gave some starts 1,019 instructions more and another heap.
FIXED = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
    "QEMU_RAND_SEED": "0",
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A cell's count; `current` says that an earlier count is still good, `lacks` what kept the cell from a count."""

    count: InstructionCount
    current: bool = False
    lacks: EdgewiseError | None = None


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Counts cells one by one; several threads may use it."""

    artifacts: Path
    results: Path
    force: bool
    timeout_s: float
    plugin: Path
    processes: Conversations = field(default_factory=Conversations)
    warm: set[tuple[str, ...]] = field(default_factory=set)
    warming: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, cell: Cell) -> Ended:
        """Return a cell's count, also where something unforeseen goes wrong; a new count is saved."""
        names = {"artifact": cell.recipe.id, "runtime": cell.runtime, "device": cell.device}
        try:
            return self._settle(cell, names)
        except (Closed, StorageError):
            raise
        except (DataError, EnvironmentMissing) as error:  # not saved: it would replace a count that may still be good
            return Ended(count=InstructionCount(**names, outcome="skipped", reason=str(error)), lacks=error)
        except Exception as error:
            return Ended(count=InstructionCount(**names, outcome="run_failed", reason=reason_of(error)))

    def _settle(self, cell: Cell, names: dict[str, str]) -> Ended:
        sidecar = artifacts.sidecar_path(self.artifacts, cell.recipe.id)
        device = devices.device(cell.device)
        device.require(cell.runtime)
        pins = device.pins(cell.runtime)
        artifact = artifacts.read(sidecar)
        if artifact.outcome != "ok":
            reason = f"{artifact.outcome}: {artifact.reason}"
            return Ended(count=InstructionCount(**names, outcome="skipped", reason=reason))
        file = artifacts.check(artifact, self.artifacts)
        load = Load(runtime=cell.runtime, artifact=file, sidecar=sidecar, timeout_s=self.timeout_s)
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            command = device.counted(load, self.plugin, log)
            cpu, qemu = emulator(command)
            present = {
                **current_results.of_load(cell.runtime, artifact, pins, onboard.PROBE),
                "the counter": provenance.of_files((SOURCE, Path(__file__))),
                "the emulator": provenance.digest(cpu, qemu),
            }
            stored = current_results.held(counts.read, counts.path(self.results, cell.id))  # a broken count is replaced
            fresh = stored is not None and not provenance.stale(stored.inputs, present)
            if fresh and stored.outcome in SETTLED and not self.force:
                return Ended(count=stored, current=True)
            self._warm(cell, load)
            began = time.perf_counter()
            facts = self._count(command, load, log)
        facts |= {"cpu": cpu, "qemu": qemu, "inputs": present, "seconds": round(time.perf_counter() - began, 1)}
        count = InstructionCount(**names, artifact_sha256=artifact.sha256, **facts)
        if not (fresh and stored.outcome == "ok" and count.outcome in INCONCLUSIVE):
            counts.save(count, self.results)
        return Ended(count=count)

    def _warm(self, cell: Cell, load: Load) -> None:
        """Count one artifact per runtime and format without using the result.

        Python compiles its modules then. A process that compiles has another heap, which changes the count.
        """
        kind = (cell.device, cell.runtime, cell.recipe.format, cell.recipe.framework)
        with self.warming, tempfile.TemporaryDirectory() as folder:
            if kind not in self.warm:
                log = Path(folder) / "log"
                facts = self._count(devices.device(cell.device).counted(load, self.plugin, log), load, log)
                # else the next artifact warms up; this one's count will say what is wrong with it
                if "samples" in facts:
                    self.warm.add(kind)

    def _count(self, command: Command, load: Load, log: Path) -> dict:
        """Run the probe under qemu; return the fields of a count, also where it crashes or hangs."""
        env = {**FIXED, "PATH": os.environ["PATH"], **command.env}
        # setpriv kills it when this process dies, which an emulated process would not notice
        alone = ("env", "-i", *(f"{name}={value}" for name, value in env.items()), "setpriv", "--pdeathsig", "KILL")
        try:
            with self.processes.loaded(Command(argv=(*alone, *command.argv)), load) as (row, _):
                counted, others = samples(log.read_text())
        except Broken as broken:
            return {"outcome": broken.outcome, "reason": broken.reason}
        notes = tuple(row["notes"])
        if any(others):
            notes += (f"other threads executed up to {max(others):,} more instructions per inference, not counted",)
        return {"notes": notes, "samples": counted}


def run(
    cells: tuple[Cell, ...],
    *,
    artifacts_folder: Path,
    results: Path,
    force: bool,
    jobs: int,
    timeout_s: float,
    ended: Callable[[Ended], None],
) -> None:
    """Count each cell whose count is missing or stale; `ended` is called for each cell.

    Raises EnvironmentMissing where there is no compiler for the plugin.
    """
    plugin = c_helpers.build("instructions", "-O2", "-shared", "-fPIC")
    files.sweep(results)
    counter = Counter(artifacts=artifacts_folder, results=results, force=force, timeout_s=timeout_s, plugin=plugin)
    pool.run_all(cells, counter.settle, ended, sizes={"": jobs}, cancel=counter.processes.stop)


def emulator(command: Command) -> tuple[str, str]:
    """Return the emulated processor with the emulator's name, and the emulator's version."""
    qemu = next(part for part in command.argv if Path(part).name.startswith("qemu-"))
    cpu = command.argv[command.argv.index("-cpu") + 1]
    return f"{Path(qemu).name} {cpu}", _version(qemu)


@cache
def _version(qemu: str) -> str:
    done = subprocess.run([qemu, "--version"], capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        msg = f"{qemu} does not tell its version: {done.stderr.strip()[-300:] or processes.death(done.returncode)}"
        raise EnvironmentMissing(msg)
    return done.stdout.splitlines()[0]


def samples(log: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the instructions of each counted inference without those of marking it, and those of other threads.

    A line of the log holds, per mark, the count of the inferring thread and that of all others. The marks of
    inferences, warm-up first, are followed by as many marks of empty calls. Raises Broken where marks are missing.
    """
    marks = [tuple(map(int, line.split())) for line in log.splitlines()]
    each = probe.WARM_UP + probe.COUNTED + 1
    if len(marks) != 2 * each:
        msg = f"the plugin saw {len(marks)} marks, not {2 * each}"
        raise Broken("run_failed", msg)
    own, others = zip(*marks, strict=True)
    inferences, nothing = (_steps(half) for half in (own[:each], own[each:]))
    return tuple(count - min(nothing) for count in inferences), _steps(others[:each])


def _steps(counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(after - before for before, after in itertools.pairwise(counts))[probe.WARM_UP :]
