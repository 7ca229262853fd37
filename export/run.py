"""The orchestrator: decides what is missing, runs lanes for it, and survives whatever happens inside them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from export import artifact as artifacts
from export import datasets, keys
from export.artifact import Artifact
from export.environment import ENVIRONMENT
from export.recipe import Recipe
from models import cards, checkpoints, data, environments, files, networks, reference
from models.environments import ROOT
from models.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError, UsageError
from models.own.network import OwnNetwork
from models.processes import death, kill

TIMEOUT_S = 900  # for one recipe; the slowest, a quantization-aware one, takes a tenth of it
FEW_IMAGES = 100

Heard = Callable[[str], None]
Ended = Callable[[Artifact], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """All missing recipes of one model, with the key that each artifact must carry.

    `reference_inputs` are what the model's reference must be computed from; `force` makes it anew in any case.
    """

    model: str
    dataset: str | None
    folder: Path
    log: Path
    checkpoint_sha256: str
    reference_inputs: Mapping[str, str]
    force: bool
    recipes: tuple[tuple[Recipe, str], ...]


def plan(recipes: tuple[Recipe, ...], *, dataset: str | None, folder: Path, logs: Path, force: bool) -> tuple[Job, ...]:
    """Return one job per model with the recipes whose artifact is missing, broken or made from something else.

    Nothing is written before all inputs are known to be good: raises DataError for a checkpoint that is missing or
    damaged, DataError or UsageError where artifacts of another data set would be replaced (export/datasets.py).
    """
    models = tuple(dict.fromkeys(r.model for r in recipes))
    planned = _of_a_folder(models, dataset) if networks.folder() else _of_the_zoo(models, dataset, folder, force)
    for path in (folder, logs):
        files.require_folder(path)
    files.sweep(folder)
    jobs = []
    for model, (name, checkpoint_sha256, data_sha256) in planned.items():
        inputs = keys.reference_inputs(model, checkpoint_sha256=checkpoint_sha256, dataset_sha256=data_sha256)
        keyed = [(r, keys.reference_key(keys.artifact_inputs(r, inputs))) for r in recipes if r.model == model]
        missing = tuple((r, k) for r, k in keyed if force or not artifacts.is_current(folder, r.id, k))
        if missing or not _reference_is_current(folder, model, keys.reference_key(inputs)):
            job = Job(model=model, dataset=name, folder=folder, log=logs / f"export-{model}.log", force=force,
                      checkpoint_sha256=checkpoint_sha256, reference_inputs=inputs, recipes=missing)  # fmt: skip
            jobs.append(job)
    if jobs:  # before minutes of conversions
        for path in (folder, logs):
            files.require_writable(path)
    return tuple(sorted(jobs, key=lambda job: -len(job.recipes)))  # the longest first, so that lanes end together


Planned = tuple[str | None, str, str]  # the zoo's data set, digests of the checkpoint and of all the data


def _of_the_zoo(models: tuple[str, ...], dataset: str | None, folder: Path, force: bool) -> dict[str, Planned]:
    digits = datasets.load(dataset, folder, force=force)
    planned = {}
    for there in map(cards.require_whole, models):
        if there.state != "current":
            print(f"NOTE: {there.model} is exported, though {cards.REASONS[there.state]}.", file=sys.stderr)
        planned[there.model] = digits.name, there.sha256, digits.sha256
    return planned


def unusable(models: Iterable[str]) -> dict[str, str]:
    """Return what keeps a user's networks from being exported, by network: a file that is missing or cannot be read."""
    problems = {}
    for model in models if networks.folder() else ():
        network = OwnNetwork(networks.folder(), model)
        try:
            network.read()
            sets = network.evaluation()
        except DataError as error:
            problems[model] = str(error)
            continue
        notes = list(network.data_notes)
        if small := [s for s in sets if len(s) < FEW_IMAGES]:
            notes.append(f"{model} is judged on {len(small[0])} images only; shares of so few say little")
        for note in notes:
            print(f"NOTE: {note}.", file=sys.stderr)
    return problems


def _of_a_folder(models: tuple[str, ...], dataset: str | None) -> dict[str, Planned]:
    if dataset:
        msg = "--data is for the zoo. Your own networks are judged on NAME.npz beside them: leave --data away."
        raise UsageError(msg)
    own = [OwnNetwork(networks.folder(), model) for model in models]
    return {network.name: (None, checkpoints.digest(network.read()), network.data_sha256) for network in own}


def _reference_is_current(folder: Path, model: str, key: str) -> bool:
    try:
        return reference.load(reference.path(folder, model)).is_current(key)
    except DataError:
        return False


def run(jobs: tuple[Job, ...], *, lanes: int, begins: Heard, ended: Ended) -> None:
    """Work off the jobs in `lanes` processes; the callbacks hear of every recipe, from one thread at a time.

    A lane that dies or hangs costs the recipe it was at; a new lane takes the rest. What keeps a whole model from being
    exported is raised at the end, after all other models. Ctrl-C ends every lane.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    running = _Lanes(begins, ended)
    problems: list[EdgewiseError] = []

    def work() -> None:
        while not running.stop.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                running.work_off(job)
            except (StorageError, EnvironmentMissing) as error:  # which every other job would meet too
                problems.append(error)
                running.stop.set()
            except EdgewiseError as error:
                problems.append(error)
            except Exception as error:  # a defect of ours costs this model, not the others
                with contextlib.suppress(OSError), job.log.open("a") as log:
                    traceback.print_exc(file=log)
                msg = f"The export of {job.model} ended: {type(error).__name__}: {error}. More is in {job.log}."
                problems.append(EdgewiseError(msg))

    try:
        _in_threads(work, max(1, min(lanes, len(jobs))))
    finally:
        running.stop.set()
        for process in tuple(running.processes):
            kill(process)
        for folder in {job.folder for job in jobs}:
            files.sweep(folder)
    if problems:
        raise type(problems[0])("\n".join(dict.fromkeys(str(problem) for problem in problems)))


def _in_threads(work: Callable[[], None], count: int) -> None:
    """Run `work` in `count` threads and wait for their end."""
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # a join without limit would not let Ctrl-C through


class _Lanes:
    """The lanes that run, and who hears of what they do."""

    def __init__(self, begins: Heard, ended: Ended) -> None:
        self.begins, self.ended = begins, ended
        self.processes: set[subprocess.Popen] = set()
        self.stop, self.lock = threading.Event(), threading.Lock()

    def work_off(self, job: Job) -> None:
        """Make a job's recipes, in a new lane after each that died; raises what keeps the model from being exported."""
        remaining = dict(job.recipes)
        force = job.force
        with files.storage_errors(job.log):
            job.log.unlink(missing_ok=True)
        while not self.stop.is_set():
            end = self._one_lane(job, remaining, force)
            files.sweep(job.folder)  # what it was writing when it died
            if end.broken:
                raise end.broken
            if self.stop.is_set() or (not end.why and not remaining):
                return
            at = next((r for r in remaining if r.id == end.at), None)
            if at is None:  # it died before its first recipe: another lane would die the same way
                why = end.why or "it ended before its work was done"
                msg = f"The export of {job.model} cannot start: {why}. The last lines of {job.log}:\n{_tail(job.log)}"
                raise DataError(msg)
            self._fail(job, at, remaining.pop(at), f"the converter's process ended: {end.why or 'without a result'}")
            if not remaining:
                return
            force = False  # the first lane made the reference

    def _one_lane(self, job: Job, remaining: dict[Recipe, str], force: bool) -> _End:
        """Run one lane to its end and take what it made out of `remaining`."""
        process = _start(job, remaining, force)
        self.processes.add(process)
        end, timed_out = _End(), threading.Event()
        watchdog = _watch(process, timed_out)
        try:
            for line in process.stdout:
                watchdog.cancel()
                if not self._hear(job, line, remaining, end):
                    break
                watchdog = _watch(process, timed_out)
            else:
                code = process.wait()
                end.why = death(code) if code else ""
        finally:
            watchdog.cancel()
            kill(process)
            process.stdout.close()
            self.processes.discard(process)
        if timed_out.is_set():
            end.why = f"no sign of life for {TIMEOUT_S} s"
        return end

    def _hear(self, job: Job, line: str, remaining: dict[Recipe, str], end: _End) -> bool:
        """Take in one line of a lane; return whether the lane may go on."""
        try:
            event = json.loads(line)
            name, id = event["event"], event.get("id")
        except (ValueError, TypeError, LookupError, AttributeError):
            end.why = f"it wrote {line[:80]!r} where its events go"
            return False
        if name == "broken":
            kinds = {kind.__name__: kind for kind in EdgewiseError.__subclasses__()}
            end.broken = kinds.get(event.get("kind"), DataError)(str(event.get("reason")))
            return False
        if name == "begins":
            end.at = str(id)
            with self.lock:
                self.begins(end.at)
            return True
        recipe = next((r for r in remaining if r.id == id), None)
        if name != "ended" or recipe is None:
            end.why = f"it wrote {line[:80]!r} where its events go"
            return False
        key, end.at = remaining.pop(recipe), ""
        try:
            made = artifacts.read(artifacts.sidecar_path(job.folder, recipe.id))
        except DataError as error:
            self._fail(job, recipe, key, str(error))
            return True
        with self.lock:
            self.ended(made)
        return True

    def _fail(self, job: Job, recipe: Recipe, key: str, reason: str) -> None:
        """Save the row of a recipe that gave no artifact, and remove what an earlier export left."""
        failed = Artifact(id=recipe.id, framework=recipe.framework, key=key, **vars(recipe), outcome="export_failed",
                          reason=reason)  # fmt: skip
        artifacts.save(failed, job.folder)
        files.remove(job.folder / f"{recipe.id}{recipe.suffix}")
        with self.lock:
            self.ended(failed)


@dataclass(kw_only=True)
class _End:
    """How a lane ended: `at` is what it was at, `why` what happened (empty where all is well), `broken` what it reported."""

    at: str = ""
    why: str = ""
    broken: EdgewiseError | None = None


def _start(job: Job, remaining: dict[Recipe, str], force: bool) -> subprocess.Popen:
    inputs = dict(job.reference_inputs)
    wanted = {
        "model": job.model,
        "dataset": job.dataset,
        "folder": str(job.folder.resolve()),
        "checkpoint_sha256": job.checkpoint_sha256,
        "reference": {"key": keys.reference_key(inputs), "inputs": inputs, "force": force},
        "recipes": [{"recipe": asdict(r), "key": k} for r, k in remaining.items()],
    }
    python = environments.python("export", install="nox -s export")
    with files.storage_errors(job.log), job.log.open("ab") as log:
        process = subprocess.Popen(
            [python, "-m", "export.lane"],
            cwd=ROOT,
            env={**os.environ, **data.keras_home(), **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            errors="replace",  # whatever a library writes there must not end the run
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
