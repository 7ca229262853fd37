"""The orchestrator: decides what is missing, runs lanes for it, and survives whatever happens inside them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from export import artifact as artifacts
from export.artifact import Artifact
from export.formats import FORMATS
from export.matrix import Recipe
from models import checkpoints, data, environments, files, reference
from models.environments import ROOT
from models.errors import DataError
from models.processes import death, kill

TIMEOUT_S = 900  # for one recipe; the slowest, a quantization-aware one, takes a tenth of it


@dataclass(frozen=True, kw_only=True)
class Job:
    """All missing recipes of one model, with the key that each artifact must carry."""

    model: str
    dataset: str
    folder: Path
    log: Path
    reference_key: str
    recipes: tuple[tuple[Recipe, str], ...]


def key(recipe: Recipe, dataset_sha256: str) -> str:
    """Return a digest of everything that an artifact is made from; another digest means it must be made again."""
    sources = [
        *sorted((ROOT / "export" / "formats").rglob("_[a-z]*.py")),  # what several formats share
        *(ROOT / "export" / f"{name}.py" for name in ("lane", "judge", "schemes", "source", "contract")),
        *(ROOT / "models" / f"{name}.py" for name in ("data", "checkpoints")),
        ROOT / "models" / "frameworks" / f"{recipe.framework}.py",
        ROOT / "models" / "zoo" / f"{recipe.model}.py",
        FORMATS.path(recipe.format),
        ROOT / "constraints" / "export.txt",
        checkpoints.path(recipe.model),
    ]
    digest = hashlib.sha256(f"{recipe.id} {dataset_sha256}".encode())
    for source in sources:
        digest.update(files.sha256(source).encode())
    return digest.hexdigest()


def plan(recipes: tuple[Recipe, ...], *, dataset: str | None, folder: Path, logs: Path, force: bool) -> tuple[Job, ...]:
    """Return one job per model with the recipes whose artifact is missing, broken or made from something else."""
    digits = data.load("test", dataset)
    with files.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)
    files.sweep(folder)
    jobs = []
    for model in dict.fromkeys(r.model for r in recipes):
        if not checkpoints.path(model).exists():
            msg = (
                f"{checkpoints.path(model)} is not there. Restore it, or train it with: nox -s train -- --only {model}"
            )
            raise DataError(msg)
        keyed = [(r, key(r, digits.sha256)) for r in recipes if r.model == model]
        missing = tuple((r, k) for r, k in keyed if force or not artifacts.is_current(folder, r.id, k))
        reference_key = files.sha256(checkpoints.path(model))
        if missing or not _reference_is_current(folder, model, reference_key, digits.sha256):
            job = Job(model=model, dataset=digits.name, folder=folder, log=logs / f"export-{model}.log",
                      reference_key=reference_key, recipes=missing)  # fmt: skip
            jobs.append(job)
    return tuple(sorted(jobs, key=lambda job: -len(job.recipes)))  # the longest first, so that lanes end together


def _reference_is_current(folder: Path, model: str, checkpoint_sha256: str, dataset_sha256: str) -> bool:
    try:
        known = reference.load(reference.path(folder, model))
    except DataError:
        return False
    return known.is_current(checkpoint_sha256, dataset_sha256)


def run(jobs: tuple[Job, ...], *, lanes: int, begins: Callable[[str], None], ended: Callable[[Artifact], None]) -> None:
    """Work off the jobs in `lanes` processes; the callbacks hear of every recipe, from one thread at a time.

    A lane that dies or hangs costs the recipe it was at; a new lane takes the rest. Ctrl-C ends every lane.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    processes: set[subprocess.Popen] = set()
    stop, lock, errors = threading.Event(), threading.Lock(), []

    def work() -> None:
        while not stop.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                _work_off(job, processes, stop, lock, begins, ended)
            except Exception as error:
                errors.append(error)
                stop.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, min(lanes, len(jobs))))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # a join without limit would not let Ctrl-C through
    finally:
        stop.set()
        for process in tuple(processes):
            kill(process)
    if errors:
        raise errors[0]


def _work_off(job: Job, processes: set, stop: threading.Event, lock: threading.Lock, begins, ended) -> None:
    remaining = list(job.recipes)
    job.log.unlink(missing_ok=True)
    while not stop.is_set():
        process = _start(job, remaining)
        processes.add(process)
        current, broken, timed_out = "", "", threading.Event()
        watchdog = _watch(process, timed_out)
        for line in process.stdout:
            watchdog.cancel()
            event = json.loads(line)
            if event["event"] == "broken":
                broken = event["reason"]
                break
            with lock:
                if event["event"] == "begins":
                    current = event["id"]
                    begins(current)
                else:
                    remaining = [(r, k) for r, k in remaining if r.id != event["id"]]
                    current = ""
                    ended(artifacts.read(artifacts.sidecar_path(job.folder, event["id"])))
            watchdog = _watch(process, timed_out)
        watchdog.cancel()
        code = process.wait()
        kill(process)
        processes.discard(process)
        if broken:
            raise DataError(broken)
        if stop.is_set() or (code == 0 and not remaining):
            return
        why = f"no sign of life for {TIMEOUT_S} s" if timed_out.is_set() else death(code)
        at = next((r for r, _ in remaining if r.id == current), None)
        if at is None:  # it died before its first recipe: another lane would die the same way
            msg = f"The export of {job.model} cannot start: {why}. The last lines of {job.log}:\n{_tail(job.log)}"
            raise DataError(msg)
        row = {"id": at.id, "framework": at.framework, "key": dict(remaining)[at], **vars(at)}
        failed = Artifact(**row, outcome="export_failed", reason=f"the converter's process ended: {why}")
        artifacts.save(failed, job.folder)
        files.remove(job.folder / f"{at.id}{FORMATS[at.format].suffix}")
        remaining = [(r, k) for r, k in remaining if r != at]
        with lock:
            ended(failed)
        if not remaining:
            return


def _start(job: Job, remaining: list[tuple[Recipe, str]]) -> subprocess.Popen:
    wanted = {
        "model": job.model,
        "dataset": job.dataset,
        "folder": str(job.folder.resolve()),
        "reference_key": job.reference_key,
        "recipes": [{"recipe": asdict(r), "key": k} for r, k in remaining],
    }
    # one thread and a fixed hash seed: sums in another order, or sets in another, would give other bytes. So would
    # the widest instructions of this CPU, where calibration and fine-tuning sum floats: AVX2 is what all CPUs here have.
    fixed = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "PYTHONHASHSEED": "0",
             "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", "ORT_DISABLE_TELEMETRY": "1",
             "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE",
             "TF_ENABLE_ONEDNN_OPTS": "0"}  # fmt: skip
    python = environments.python("export", install="nox -s export")
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            [python, "-m", "export.lane"],
            cwd=ROOT,
            env={**os.environ, **fixed},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # a group of its own, so that it can be killed with all that it started
        )
    with contextlib.suppress(BrokenPipeError):  # it died at once; its exit code tells
        process.stdin.write(json.dumps(wanted))
        process.stdin.close()
    return process


def _watch(process: subprocess.Popen, timed_out: threading.Event) -> threading.Timer:
    def give_up() -> None:
        timed_out.set()
        kill(process)

    timer = threading.Timer(TIMEOUT_S, give_up)
    timer.daemon = True
    timer.start()
    return timer


def _tail(log: Path, lines: int = 8) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
