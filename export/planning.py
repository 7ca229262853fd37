"""What an export has to make: the recipes whose artifact is missing or stale, once all their inputs are known to be good."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from export import artifact as artifacts
from export import keys
from export.recipe import Recipe
from models import cards, checkpoints, data, networks, reference
from models.common import files
from models.common.errors import DataError, UsageError
from models.images import LabelledImages
from models.own.network import OwnNetwork

FEW_IMAGES = 100
SIDECAR_BYTES = 1 << 24
STAND_IN = "digits"  # what is taken where MNIST cannot be had


@dataclass(frozen=True, kw_only=True)
class Job:
    """All missing recipes of one model, with the key that each artifact must carry.

    `reference_inputs` are what the model's reference must be computed from; `force` makes it anew in any case. `rewrites`
    tells whether converted files are rewritten (export/rewrites/).
    """

    model: str
    dataset: str | None
    folder: Path
    log: Path
    checkpoint_sha256: str
    reference_inputs: Mapping[str, str]
    force: bool
    rewrites: bool = True
    recipes: tuple[tuple[Recipe, str], ...]


def plan(
    recipes: tuple[Recipe, ...], *, dataset: str | None, folder: Path, logs: Path, force: bool, rewrites: bool = True
) -> tuple[Job, ...]:
    """Return one job per model with the recipes whose artifact is missing, broken or made from something else.

    Nothing is written before all inputs are known to be good: raises DataError for a checkpoint that is missing or
    damaged, DataError or UsageError where artifacts of another data set would be replaced.
    """
    models = tuple(dict.fromkeys(r.model for r in recipes))
    planned = _of_a_folder(models, dataset) if networks.folder() else _of_the_zoo(models, dataset, folder, force)
    for path in (folder, logs):
        files.require_folder(path)
    files.sweep(folder)
    jobs = []
    for model, (name, checkpoint_sha256, data_sha256) in planned.items():
        inputs = keys.reference_inputs(model, checkpoint_sha256=checkpoint_sha256, dataset_sha256=data_sha256)
        own = [recipe for recipe in recipes if recipe.model == model]
        keyed = [(r, keys.reference_key(keys.artifact_inputs(r, inputs, rewrites=rewrites))) for r in own]
        missing = tuple((r, k) for r, k in keyed if force or not artifacts.is_current(folder, r.id, k))
        if missing or not _reference_is_current(folder, model, keys.reference_key(inputs)):
            job = Job(model=model, dataset=name, folder=folder, log=logs / f"export-{model}.log", force=force, rewrites=rewrites,
                      checkpoint_sha256=checkpoint_sha256, reference_inputs=inputs, recipes=missing)  # fmt: skip
            jobs.append(job)
    if jobs:  # before minutes of conversions
        for path in (folder, logs):
            files.require_writable(path)
    return tuple(jobs)


Planned = tuple[str | None, str, str]  # the zoo's data set, digests of the checkpoint and of all the data


def _of_the_zoo(models: tuple[str, ...], dataset: str | None, folder: Path, force: bool) -> dict[str, Planned]:
    digits = _judged_on(dataset, folder, force)
    planned = {}
    for checkpoint in map(cards.require_whole, models):
        if checkpoint.state != "current":
            print(f"NOTE: {checkpoint.model} is exported, though {cards.REASONS[checkpoint.state]}.", file=sys.stderr)
        planned[checkpoint.model] = digits.name, checkpoint.sha256, digits.sha256
    return planned


def _held(folder: Path) -> Counter[str]:
    """Count a folder's sidecars by the data set that each names.

    Sidecars are read leniently: one of an earlier version, which export would make again, still says what it is of.
    """
    names: Counter[str] = Counter()
    for sidecar in folder.glob("[!.]*.json"):
        try:
            name = json.loads(files.read_bytes(sidecar, SIDECAR_BYTES))["dataset"]["name"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):  # failed ones have none
            continue
        if isinstance(name, str):
            names[name] += 1
    return names


def _judged_on(dataset: str | None, folder: Path, force: bool) -> LabelledImages:
    """Return the test images to judge on: of the named data set, else MNIST's, else loudly the digits.

    Artifacts of another data set are replaced by the digits' only where `force` and the name are both given; else
    raises DataError or UsageError. MNIST's replace those of the digits: they are what the digits stand in for.
    """
    others = Counter({name: n for name, n in _held(folder).items() if name != STAND_IN})
    if not others or dataset not in (None, STAND_IN) or (dataset == STAND_IN and force):
        return data.load("test", dataset)
    held_now = f"{folder} holds {others.total()} artifacts of {' and '.join(sorted(others))}"
    if dataset == STAND_IN:
        raise UsageError(
            f"{held_now}, which those of the digits would replace. Nothing was written. Leave --artifacts away, and the "
            "digits go into artifacts-digits; or name another folder; or add --force to replace them."
        )
    try:
        return data.load("test", "mnist")
    except data.MnistUnavailable as error:
        raise DataError(
            f"{held_now}, and MNIST cannot be had now, so that those of scikit-learn's digits would replace them. Nothing "
            "was written. Set MNIST_DIR=FOLDER to a folder with MNIST's four files; or add --data digits, which "
            f"exports into a folder of its own. Why MNIST cannot be had: {error}"
        ) from error


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
