"""The orchestrator: hands what is missing to lanes, family by family, and survives whatever happens inside them."""

import contextlib
import threading
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from export import artifact as artifacts
from export import lane_client
from export.artifact import Artifact
from export.lane_client import Event, Lane, Unit
from export.planning import Job
from export.recipe import Recipe
from models.common import files
from models.common.errors import DataError, EdgewiseError, EnvironmentMissing, StorageError

Begins = Callable[[str], None]
Ended = Callable[[Artifact], None]
Spent = Callable[[str, dict[str, float]], None]  # a family, and seconds by phase


def run(jobs: tuple[Job, ...], *, count: int, begins: Begins, ended: Ended, spent: Spent = lambda *_: None) -> None:
    """Work off the jobs in `count` lanes; the callbacks hear of every recipe, from one thread at a time.

    A lane that dies or hangs costs the recipe it was at; a new lane takes the rest. Where a signal killed it, its recipe
    is tried once more, for libraries that damage their memory do not do so each time, and without rewrites. What keeps a whole model from being
    exported is raised at the end, after all other models. Ctrl-C ends every lane.
    """
    waiting = Waiting(jobs)
    work = _Work(waiting, begins, ended, spent)
    try:
        for log in {job.log for job in jobs}:
            with files.storage_errors(log):
                log.unlink(missing_ok=True)
        threads = [threading.Thread(target=work.until_done, daemon=True) for _ in range(min(count, len(waiting.units)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # a join without limit would not let Ctrl-C through
    finally:
        waiting.stop()
        for lane in tuple(work.lanes):
            lane.end()
        for folder in {job.folder for job in jobs}:
            files.sweep(folder)
    if work.problems:
        raise type(work.problems[0])("\n".join(dict.fromkeys(str(problem) for problem in work.problems)))


def units(jobs: Iterable[Job]) -> list[Unit]:
    """Return the jobs' recipes by family; a job without recipes, whose reference is to be made, is a unit of its own."""
    every = []
    for job in jobs:
        families: dict[str, dict[Recipe, str]] = defaultdict(dict)
        for recipe, key in job.recipes:
            families[recipe.family][recipe] = key
        every += [Unit(job=job, family=f, recipes=recipes) for f, recipes in (families or {"": {}}).items()]
    return every


class Waiting:
    """The units that no lane has taken yet, and which one a lane does best to take next."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.units = units(jobs)
        self._begun: set[str] = set()  # families that some lane has begun
        self._making: set[str] = set()  # models whose reference a lane makes now: their other units wait for it
        self._prepared: set[str] = set()
        self._changed = threading.Condition()
        self.stopped = False

    def take(self, before: list[Unit]) -> Unit | None:
        """Return the next unit for a lane that has done the units `before`, None where nothing is left.

        It waits while a reference is made that all units left need.
        """
        with self._changed:
            while self.units and not self.stopped:
                ready = [unit for unit in self.units if unit.job.model not in self._making]
                if ready:
                    sizes: Counter[str] = Counter()
                    for unit in self.units:
                        sizes[unit.family] += len(unit.recipes)
                    unit = max(ready, key=lambda unit: self._fitness(unit, before, sizes))
                    self.units.remove(unit)
                    self._begun.add(unit.family)
                    self._making |= {unit.job.model} - self._prepared
                    return unit
                self._changed.wait(1.0)
        return None

    def _fitness(self, unit: Unit, before: list[Unit], sizes: Counter[str]) -> tuple:
        """Rank a unit: first what a lane has imported anyway, then what no lane has begun, then what is left most of."""
        frameworks = {framework for unit_before in before for framework in _frameworks(unit_before)}
        return (
            unit.family in {unit_before.family for unit_before in before},
            unit.family not in self._begun,
            not frameworks or not _frameworks(unit) or bool(frameworks & _frameworks(unit)),
            bool(before) and unit.job.model == before[-1].job.model,
            sizes[unit.family],
            len(unit.recipes),
        )

    def prepared(self, model: str) -> None:
        """Let other lanes take units of a model, whose reference is there."""
        with self._changed:
            self._prepared.add(model)
            self._making.discard(model)
            self._changed.notify_all()

    def drop(self, model: str) -> None:
        """Leave out what is left of a model that cannot be exported."""
        with self._changed:
            self.units = [unit for unit in self.units if unit.job.model != model]
            self._making.discard(model)
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody take anything any more."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()


def _frameworks(unit: Unit) -> set[str]:
    return {recipe.framework for recipe in unit.recipes}


class _Work:
    """The lanes that run, and who hears of what they do."""

    def __init__(self, waiting: Waiting, begins: Begins, ended: Ended, spent: Spent) -> None:
        self.waiting, self.begins, self.ended, self.spent = waiting, begins, ended, spent
        self.lanes: set[Lane] = set()
        self.problems: list[EdgewiseError] = []
        self.lock = threading.Lock()
        self.killed: set[tuple[str, str, str]] = set()  # model, family, and what a lane was at when a signal killed it
        self.written: set[str] = set()  # ids of files that were made, and then tried in their own runtimes
        self.new_references: set[str] = set()  # models whose reference was made in this run

    def until_done(self) -> None:
        """Take units and work them off in one lane at a time, a new one after each that died."""
        lane: Lane | None = None
        before: list[Unit] = []
        while unit := self.waiting.take(before):
            before.append(unit)
            job = unit.job
            try:
                lane = self._work_off(unit, lane)
            except (StorageError, EnvironmentMissing) as error:  # which every other unit would meet too
                lane = self._give_up(job, error)
                self.waiting.stop()
            except EdgewiseError as error:
                lane = self._give_up(job, error)
            except Exception as error:  # a defect of ours costs this model, not the others
                with contextlib.suppress(OSError), job.log.open("a") as log:
                    traceback.print_exc(file=log)
                msg = f"The export of {job.model} ended: {type(error).__name__}: {error}. More is in {job.log}."
                lane = self._give_up(job, EdgewiseError(msg))
            finally:
                self.waiting.prepared(job.model)
        if lane:
            self._end(lane)

    def _give_up(self, job: Job, error: EdgewiseError) -> None:
        """Leave out the rest of a model; its lane ends with the run."""
        self.problems.append(error)
        self.waiting.drop(job.model)

    def _end(self, lane: Lane) -> None:
        lane.end()
        self.lanes.discard(lane)

    def _work_off(self, unit: Unit, lane: Lane | None) -> Lane | None:
        """Make a unit's recipes; returns the lane that goes on living. Raises what keeps the model from being exported."""
        job, remaining = unit.job, dict(unit.recipes)
        while not self.waiting.stopped:
            lived_on = lane is not None
            if lane is None:
                lane = Lane(job.log)
                self.lanes.add(lane)
            at, end = self._one_lane(unit, remaining, lane)
            if end.event == "done" and not remaining:
                return lane
            self._end(lane)
            lane = None
            files.sweep(job.folder)  # what it was writing when it died
            if end.event == "broken":
                kinds = {kind.__name__: kind for kind in EdgewiseError.__subclasses__()}
                raise kinds.get(end.kind, DataError)(end.reason)
            if self.waiting.stopped or (unit.recipes and not remaining):
                return None
            if lived_on and not at:  # it had died before it was given this unit
                continue
            if end.killed and (job.model, unit.family, at) not in self.killed:
                self.killed.add((job.model, unit.family, at))
                continue
            recipe = next((r for r in remaining if r.id == at), None)
            if recipe is None:  # it died before its first recipe: another lane would die the same way
                why = end.reason or "it ended before its work was done"
                tail = "\n".join(job.log.read_text(errors="replace").splitlines()[-8:])
                raise DataError(f"The export of {job.model} cannot start: {why}. The last lines of {job.log}:\n{tail}")
            key, outcome, who = remaining.pop(recipe), "export_failed", "the converter's process ended"
            if at in self.written and end.killed and "SIGKILL" not in end.reason:  # which is for want of memory
                outcome, who = "unsupported", "it was written, but its own runtime's process ended"
            self._fail(job, recipe, key, f"{who}: {end.reason or 'without a result'}", outcome)
            if not remaining:
                return None
        return lane

    def _one_lane(self, unit: Unit, remaining: dict[Recipe, str], lane: Lane) -> tuple[str, Event]:
        """Let a lane make what it can and take that out of `remaining`; return what it was at last, and its last event."""
        at = ""
        anew = unit.job.force and unit.job.model not in self.new_references
        killed = {id for model, _, id in self.killed if model == unit.job.model}
        for event in lane.events(unit, remaining, anew=anew, unchanged=killed):
            if event.event == "begins":
                at = event.id
                with self.lock:
                    self.begins(at)
            elif event.event == "prepared":
                self.new_references.add(unit.job.model)
                self.waiting.prepared(unit.job.model)
            elif event.event == "written":
                self.written.add(event.id)
            elif event.event == "ended":
                recipe = next((r for r in remaining if r.id == event.id), None)
                if recipe is None:
                    return at, lane_client.foreign(event)
                at = ""
                self._take(unit.job, recipe, remaining.pop(recipe))
            if event.spent:
                with self.lock:
                    self.spent(unit.family, event.spent)
        return at, event

    def _take(self, job: Job, recipe: Recipe, key: str) -> None:
        """Read the sidecar that a lane wrote."""
        try:
            artifact = artifacts.read(artifacts.sidecar_path(job.folder, recipe.id))
        except DataError as error:
            self._fail(job, recipe, key, str(error))
            return
        with self.lock:
            self.ended(artifact)

    def _fail(self, job: Job, recipe: Recipe, key: str, reason: str, outcome: str = "export_failed") -> None:
        """Save the row of a recipe that gave no artifact, and remove what an earlier export left."""
        failed = Artifact(id=recipe.id, framework=recipe.framework, key=key, **vars(recipe), outcome=outcome,
                          reason=reason)  # fmt: skip
        artifacts.save(failed, job.folder)
        files.remove(job.folder / f"{recipe.id}{recipe.suffix}")
        with self.lock:
            self.ended(failed)
