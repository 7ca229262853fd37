"""The orchestrator: chooses which cells must run, runs them, and turns every outcome into a row."""

import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from device_tests import current_results, devices, pool
from device_tests.cells import Cell
from device_tests.contract import HERE, Device, Job, reason_of
from device_tests.machine_lock import MachineLock
from device_tests.onboard.runtimes import is_timed
from device_tests.results import consistency, judging, parity
from device_tests.results import measurement as measurements
from device_tests.results.measurement import Measurement, not_exported, without_result
from device_tests.schedule import Closed, Turns
from device_tests.transport.dialogue import LOG_LINES
from export import artifact as artifacts
from models import reference
from models.common import files, provenance
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing

QUICK_IMAGES = 1_000
# Most time for the latency samples: enough for all of the slowest cell, portable kernels of 50 to 90 ms; less when quick.
LATENCY_S, QUICK_LATENCY_S = 60.0, 1.0
SETTLED = ("ok", "mismatch", "unsupported")  # outcomes that another run would repeat; cells with others run again
# Outcomes for which the machine or the limit may be the reason: they replace no `ok` of the same inputs.
INCONCLUSIVE = ("run_failed", "timed_out", "skipped")
BOOKKEEPING = "bookkeeping"

References = dict[str, tuple[reference.Reference, str]]  # by model, with a digest of the content


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The folders of a run, and how thorough it is.

    Emulated devices and runtimes that stand for devices are slow: they judge on as few images as a quick run, unless
    the run is `full`.
    """

    artifacts: Path
    results: Path
    quick: bool
    force: bool
    full: bool = False
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A cell's row; `current` says that an earlier row is still good, `lacks` what kept the cell from running.

    `discarded` tells that the row was not saved: an earlier run's good result of the same file and installation stays.
    `logits` [N,K] are those of the images that it was judged on.
    """

    measurement: Measurement
    current: bool = False
    discarded: bool = False
    lacks: EdgewiseError | None = None
    logits: np.ndarray | None = None


def run(
    cells: tuple[Cell, ...],
    bench: Bench,
    *,
    jobs: int,
    begins: Callable[[str], None],
    ended: Callable[[Ended], None],
    notify: Callable[[str], None] = lambda message: None,
) -> Counter[str]:
    """Run the cells whose result is missing or not current; return the seconds by what they were spent on.

    `begins` and `ended` are called for each cell, `notify` when another run of Edgewise is waited for; `begins` and
    `notify` are called from other threads. Cells that keep this machine busy take turns on it, other devices work at the
    same time, on one cell each. Whatever goes wrong with a cell becomes its row. Ctrl-C, or a result that cannot be
    written, ends every worker; results that are finished stay.
    """
    files.require_folder(bench.results)
    files.sweep(bench.results)
    models = {c.recipe.model for c in cells if artifacts.sidecar_path(bench.artifacts, c.recipe.id).exists()}
    sets = {model: reference.load(reference.path(bench.artifacts, model)) for model in models}
    references = {model: (reference_set, reference_set.sha256) for model, reference_set in sets.items()}
    hosts = {name: devices.device(name).host for name in dict.fromkeys(cell.device for cell in cells)}
    sizes = {host: jobs if host == HERE else 1 for host in hosts.values()}
    turns = {host: Turns(size, MachineLock(notify) if host == HERE else None) for host, size in sizes.items()}
    busy: list[float] = []

    def timed(cell: Cell) -> Ended:
        began = time.perf_counter()
        try:
            return _settle(cell, bench, references, turns[hosts[cell.device]], begins)
        finally:
            busy.append(time.perf_counter() - began)

    def cancel() -> None:
        for each in turns.values():
            each.close()
        for name in hosts:
            devices.device(name).stop()

    pool.run_all(cells, timed, ended, sizes=sizes, host=lambda cell: hosts[cell.device], cancel=cancel)
    spent = sum((each.spent for each in turns.values()), Counter())
    # the time that no turn was taken for
    spent[BOOKKEEPING] = max(0.0, sum(busy) - spent.total())
    return spent


def _settle(cell: Cell, bench: Bench, references: References, turns: Turns, begins: Callable[[str], None]) -> Ended:
    sidecar = artifacts.sidecar_path(bench.artifacts, cell.recipe.id)
    if not sidecar.exists():
        row = not_exported(cell)
        return Ended(measurement=row, lacks=DataError(row.reason))
    try:
        devices.device(cell.device).require(cell.runtime)
        end = _measure(cell, sidecar, bench, references, turns, begins)
    except Closed:
        raise
    except EnvironmentMissing as error:  # not saved: it would replace a result that may still be good
        return Ended(measurement=without_result(cell, "skipped", str(error)), lacks=error)
    except DataError as error:
        end = Ended(measurement=_without_run(cell, "load_failed", error, sidecar))
    except Exception as error:  # an unforeseen error must not end the other cells
        end = Ended(measurement=_without_run(cell, "run_failed", error, sidecar))
    if end.current or not end.measurement.artifact_sha256:  # else there is no file, and the sidecar says why
        return end
    if _adds_nothing(_earlier(cell, bench), end.measurement):
        return Ended(measurement=end.measurement, discarded=True)
    measurements.save(end.measurement, bench.results)
    parity.save(bench.results, cell.id, end.logits)
    return end


def _without_run(cell: Cell, outcome: str, error: Exception, sidecar: Path) -> Measurement:
    """Return the row of a cell that ended in an exception; its log holds the traceback of an unforeseen one."""
    digest = ""
    with suppress(DataError):  # a broken sidecar is reported wherever it is read
        digest = artifacts.read(sidecar).sha256
    lines = () if isinstance(error, EdgewiseError) else "".join(traceback.format_exception(error)).splitlines()
    row = without_result(cell, outcome, reason_of(error))
    return structs.replace(row, artifact_sha256=digest, log=tuple(lines[-LOG_LINES:]))


def _adds_nothing(earlier: Measurement | None, row: Measurement) -> bool:
    """Tell whether a row must not replace an earlier good result: it is inconclusive, and of the same inputs."""
    if earlier is None or earlier.outcome != "ok" or row.outcome not in INCONCLUSIVE:
        return False
    stale = row.inputs and provenance.stale(earlier.inputs, row.inputs)
    return earlier.artifact_sha256 == row.artifact_sha256 and not stale


def _measure(
    cell: Cell, sidecar: Path, bench: Bench, references: References, turns: Turns, begins: Callable[[str], None]
) -> Ended:
    """Return the earlier row where it holds, else run the cell and judge its logits; raises DataError for broken files.

    What the judge says of a row replaces what the worker said.
    """
    artifact = artifacts.read(sidecar)
    if artifact.outcome != "ok":
        return Ended(measurement=without_result(cell, artifact.outcome, artifact.reason))
    file = artifacts.check(artifact, bench.artifacts)
    reference_set, digest = references[cell.recipe.model]
    if not artifacts.is_of(artifact, reference_set):
        msg = f"{artifact.id} is of another checkpoint or data set than its reference. Make both again: nox -s export"
        raise DataError(msg)
    device = devices.device(cell.device)
    present = current_results.of_cell(cell, artifact, digest, device.pins(cell.runtime))
    timed = is_timed(cell.runtime) and not device.emulated
    quick = bench.quick or (not timed and not bench.full)
    earlier = None if bench.force else _earlier(cell, bench)
    if earlier and (quick or not earlier.quick) and earlier.outcome in SETTLED:
        stale = provenance.stale(earlier.inputs, present)
        if not (stale or consistency.contradiction(earlier, artifact, reference_set, bench.results)):
            return Ended(measurement=earlier, current=True)
    job = _job(cell, file, sidecar, bench, reference_set, timed=timed, quick=quick)
    begins(cell.id)
    started = time.perf_counter()
    reply = _reply(device, job, turns)
    facts = {
        **{"artifact": artifact.id, "runtime": cell.runtime, "device": cell.device, "quick": quick},
        **{"artifact_sha256": artifact.sha256, "inputs": present},
        **measurements.of_artifact(artifact),
        "seconds": round(time.perf_counter() - started, 2),
    }
    if not timed:
        reply |= {"load_ns": None, "first_ns": None}  # the worker does not know that its times mean nothing
    try:
        logits, judged = _judge(reply, reference_set)
    except (AttributeError, TypeError, ValueError) as error:  # a reply may hold anything
        reason = f"the worker's reply makes no sense: {error}"
        logits, judged = None, {"outcome": "run_failed", "reason": reason, "sets": {}}
    return Ended(measurement=measurements.from_reply(facts, reply | judged), logits=logits)


def _reply(device: Device, job: Job, turns: Turns) -> dict[str, Any]:
    """Return the row of the device's worker, also where the device itself fails; raises Closed."""
    try:
        return device.run(job, turns)
    except EdgewiseError as error:
        if turns.closed:
            raise Closed from error
        return {"outcome": "run_failed", "reason": str(error)}


def _job(
    cell: Cell, file: Path, sidecar: Path, bench: Bench, reference_set: reference.Reference, *, timed: bool, quick: bool
) -> Job:
    # all logits of an emulated device are needed, to compare them with the desktop's
    emulated = devices.device(cell.device).emulated
    return Job(
        runtime=cell.runtime,
        artifact=file,
        sidecar=sidecar,
        reference=reference.path(bench.artifacts, cell.recipe.model),
        images=QUICK_IMAGES if quick else 0,
        latency_s=0 if not timed else QUICK_LATENCY_S if quick else LATENCY_S,
        enough=(lambda packed: False) if emulated else partial(_is_enough, reference_set=reference_set),
        timeout_s=bench.timeout_s,
    )


def _is_enough(packed: Any, reference_set: reference.Reference) -> bool:
    """Tell whether the packed logits so far are enough; garbage is not, and the whole reply will say why."""
    try:
        logits = judging.unpack(packed, reference_set.logits.shape[1], len(reference_set.images))
        return judging.is_enough(logits, reference_set)
    except (TypeError, ValueError):
        return False


def _judge(reply: dict[str, Any], reference_set: reference.Reference) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Return a reply's logits [N,K] and their judgement; None and nothing where it holds none. Raises ValueError."""
    if reply.get("outcome") != "ok":
        return None, {"sets": {}}
    classes = reference_set.logits.shape[1]
    logits = judging.unpack(reply.get("logits", ""), classes, len(reference_set.images))
    judged = structs.asdict(judging.judge(logits, reference_set))
    judged["sets"] = {
        name: judging.count(judging.unpack(reply["sets"][name], classes, len(other.images)), other)
        for name, other in reference_set.others.items()
        if name in (reply.get("sets") or {})
    }
    return logits, judged


def _earlier(cell: Cell, bench: Bench) -> Measurement | None:
    """Return the cell's stored result; a broken one is replaced."""
    return current_results.held(measurements.read, measurements.path(bench.results, cell.id))
