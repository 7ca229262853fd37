"""A lane: one process that exports all recipes of one model, so that heavy imports are paid once and a crash harms nobody.

`python -m export.lane` reads a job from stdin and writes one line of JSON per event to stdout; whatever the libraries
print goes to stderr, which the orchestrator keeps in a log file.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from export import artifact as artifacts
from export import judge
from export.artifact import Artifact
from export.formats import FORMATS
from export.matrix import Recipe
from export.schemes import SCHEMES
from export.source import Source
from models import checkpoints, data, files, reference
from models import profile as profiles
from models.errors import EdgewiseError, Unsupported
from models.reference import Reference

PARITY_IMAGES = 64
GOLDEN_FIRST, GOLDEN_HARDEST = 3, 1


def main() -> None:
    # Libraries print what they like to fd 1; only this lane knows where the real one went.
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    folder = Path(job["folder"])
    source = Source(job["model"], job["dataset"])

    def emit(**event: Any) -> None:
        print(json.dumps(event), file=events)

    emit(event="begins", id=f"{source.model}.reference")
    try:
        # before any tracing: Keras would put the weights into the trace and leave the network untrained
        _ = source.network
        answers = make_reference(source, folder, job["reference_key"])
    except EdgewiseError as error:
        emit(event="broken", reason=str(error))
        return
    for wanted in job["recipes"]:
        recipe = Recipe(**wanted["recipe"])
        emit(event="begins", id=recipe.id)
        made = make(recipe, source, answers, folder, wanted["key"])
        artifacts.save(made, folder)
        emit(event="ended", id=recipe.id)


def make_reference(source: Source, folder: Path, key: str) -> Reference:
    """Return the model's reference from the folder, made anew where the checkpoint or the data are others.

    `key` is the checkpoint's SHA-256.
    """
    digits = data.load("test", source.dataset)
    path = reference.path(folder, source.model)
    if path.exists():
        try:
            known = reference.load(path)
            if known.is_current(key, digits.sha256):
                return known
        except EdgewiseError as error:
            print(f"{error} Making it again.", file=sys.stderr)
    others = data.load("test", "digits")
    beside = {} if digits.name == others.name else {
        "digits_images": others.images,
        "digits_labels": others.labels,
        "digits_logits": source.logits(data.grey(others.images, source.spec.input_shape)),
    }  # fmt: skip
    made = Reference(
        model=source.model,
        dataset=digits.name,
        dataset_sha256=digits.sha256,
        checkpoint_sha256=key,
        images=digits.images,
        labels=digits.labels,
        logits=source.logits(data.grey(digits.images, source.spec.input_shape)),
        **beside,
    )
    reference.save(made, path)
    return made


def make(recipe: Recipe, source: Source, answers: Reference, folder: Path, key: str) -> Artifact:
    """Convert, inspect and judge one recipe; whatever goes wrong is the outcome of this recipe alone."""
    started = time.perf_counter()
    row = {"id": recipe.id, "framework": recipe.framework, "key": key, **vars(recipe)}
    target = folder / f"{recipe.id}{FORMATS[recipe.format].suffix}"
    try:
        facts = _convert(recipe, source, answers, target)
    except Unsupported as error:
        facts = {"outcome": "unsupported", "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        facts = {"outcome": "export_failed", "reason": f"{type(error).__name__}: {_first_line(error)}"}
    if "file" not in facts:
        files.remove(target)  # an artifact of an earlier export would contradict the new sidecar
    return Artifact(**row, **facts, seconds=round(time.perf_counter() - started, 2))


def _convert(recipe: Recipe, source: Source, answers: Reference, target: Path) -> dict[str, Any]:
    format_module, scheme, spec = FORMATS[recipe.format], SCHEMES[recipe.scheme], source.spec
    profile = source.memo("profile", lambda: profiles.of(spec, source.network))
    with files.whole(target) as temporary:
        format_module.convert(source, recipe.scheme, temporary)
        contents = format_module.inspect(temporary)
        judge.judge_weights(contents, scheme, profile.weights)
        judge.judge_size(files.size_bytes(temporary), contents, scheme, profile.parameters)

        hardest = np.argsort(answers.margins, kind="stable")[:GOLDEN_HARDEST]
        index = np.concatenate([np.arange(PARITY_IMAGES), hardest])
        grey = data.grey(answers.images[index], spec.input_shape)
        native = format_module.run(temporary, judge.to_native(grey, contents.inputs[0]))
        logits = judge.to_logits(native, contents.outputs[0])
        judge.judge_answers(logits[:PARITY_IMAGES], answers.logits[:PARITY_IMAGES], scheme)

    golden = [*range(GOLDEN_FIRST), *range(PARITY_IMAGES, len(index))]
    return {
        "file": target.name,
        "sha256": files.sha256(target),
        "size_bytes": files.size_bytes(target),
        "compressed_bytes": sum(len(gzip.compress(m.read_bytes(), mtime=0)) for m in files.members(target)),
        "inputs": contents.inputs,
        "outputs": contents.outputs,
        "weights": dict(contents.weights),
        "notes": (*contents.notes, *judge.coverage(contents, scheme, profile.layers)),
        "parameters": profile.parameters,
        "macs": profile.macs,
        "labels": tuple("0123456789"),
        "golden": tuple(
            {
                "index": int(index[i]),
                "label": int(answers.labels[index[i]]),
                "image_u8": base64.b64encode(answers.images[index[i]].tobytes()).decode(),
                "logits": [float(x) for x in logits[i]],
            }
            for i in golden
        ),
        "dataset": {"name": answers.dataset, "split": "test", "sha256": answers.dataset_sha256, "images": len(answers.images)},
        "checkpoint_sha256": files.sha256(checkpoints.path(source.model)),
        "tools": {tool: version(tool) for tool in format_module.tools(recipe.framework)},
        "reproducible": _reproducible(format_module, recipe.scheme),
    }  # fmt: skip


def _reproducible(format_module: Any, scheme: str) -> bool | str:
    """Return True, or the reason why other bytes may come out: a format's, or that of one of its schemes."""
    reason = getattr(format_module, "irreproducible", True)
    return reason.get(scheme, True) if isinstance(reason, dict) else reason


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"


if __name__ == "__main__":
    main()
