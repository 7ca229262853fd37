"""Makes one artifact: converts, inspects, judges, rewrites, and writes down what came of it."""

import base64
import gzip
import re
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from export import contract, isolated, judge, phases, rewriting
from export.artifact import Artifact, Dataset, Golden
from export.contract import Contents, Tensor
from export.formats import FORMATS
from export.recipe import Recipe
from export.schemes import SCHEMES, Scheme, described, supported
from export.source import Source
from models import profile as profiles
from models.common import files, records
from models.common.environments import ROOT
from models.common.errors import EdgewiseError, Unsupported
from models.frameworks import FRAMEWORKS
from models.own.settings import DYNAMIC
from models.reference import Reference

PARITY_IMAGES = 64
TOGETHER = 17  # images that a file for any batch is tried with: some libraries make a special case of up to 16
GOLDEN_FIRST, GOLDEN_HARDEST = 3, 1


def make(
    recipe: Recipe,
    source: Source,
    reference: Reference,
    folder: Path,
    key: str,
    written: Callable[[], None] = lambda: None,
) -> Artifact:
    """Convert, inspect and judge one recipe; whatever goes wrong is the outcome of this recipe alone.

    `written` is called when the file is there, before its own runtime tries it, which may end this process.
    """
    started = time.perf_counter()
    row = {"id": recipe.id, "framework": recipe.framework, "key": key, **vars(recipe)}
    target = folder / f"{recipe.id}{recipe.suffix}"
    try:
        artifact = Artifact(**row, **_facts(recipe, source, reference, target, written))
        records.encode(artifact)  # what cannot be written as a sidecar is a failure, too
    except Unsupported as error:
        artifact = Artifact(**row, outcome="unsupported", reason=str(error))
    except (Exception, SystemExit) as error:  # some command line tools end the process that calls them
        traceback.print_exc()
        artifact = Artifact(**row, outcome="export_failed", reason=f"{type(error).__name__}: {_first_line(error)}")
    if not artifact.file:
        files.remove(target)  # an artifact of an earlier export would contradict the new sidecar
    return structs.replace(artifact, seconds=round(time.perf_counter() - started, 2))


def _facts(
    recipe: Recipe, source: Source, reference: Reference, target: Path, written: Callable[[], None]
) -> dict[str, Any]:
    format_module, scheme = FORMATS[recipe.format], SCHEMES[recipe.scheme]
    with phases.phase(phases.LOAD):
        profile = source.memo("profile", lambda: profile_of(source))
        distinct = source.memo("distinct", lambda: distinct_weights(source))
    with files.whole(target) as temporary:
        _convert(recipe, source, scheme, temporary)
        with phases.phase(phases.INSPECT):
            contents = completed(format_module.inspect(temporary), source)
        judge.judge_weights(contents, scheme, min(profile.weights, distinct), profile.layers)
        if not getattr(format_module, "as_given", False):
            judge.judge_size(files.size_bytes(temporary), contents, scheme, profile.parameters, distinct)
        written()
        trial = _Trial(recipe, source, reference, contents)
        logits = trial.judged_logits(temporary)
        rewritten = trial.rewritten(temporary, logits)
    coverage = judge.coverage(contents, scheme, profile.layers)
    return {
        "file": target.name,
        "sha256": files.sha256(target),
        "size_bytes": files.size_bytes(target),
        "compressed_bytes": sum(len(gzip.compress(m.read_bytes(), mtime=0)) for m in files.members(target)),
        "inputs": contents.inputs,
        "outputs": contents.outputs,
        "weights": dict(contents.weights),
        "covered_macs": judge.share_of_macs(contents.layers, scheme.weights, profile.layers),
        "options": scheme.options,
        "rewrites": rewritten.rewrites,
        "notes": (*contents.notes, *coverage, *_notes(source, scheme), *rewritten.notes),
        "parameters": profile.parameters,
        "macs": profile.macs,
        "labels": source.labels,
        "layout": source.layout,
        "golden": tuple(trial.golden(rewritten.logits)),
        "dataset": Dataset(name=reference.dataset, split="test", sha256=reference.dataset_sha256, images=len(reference.images)),
        "checkpoint_sha256": source.checkpoint_sha256,
        "tools": {tool: version(tool) for tool in format_module.tools[recipe.framework]} | isolated.pins(recipe.format),
        "reproducible": reproducible(format_module, scheme.base),
    }  # fmt: skip


def _convert(recipe: Recipe, source: Source, scheme: Scheme, file: Path) -> None:
    """Write the file; raises Unsupported for options that the format does not know, and in the toolchain's own words."""
    format_module = FORMATS[recipe.format]
    try:
        options = contract.options(format_module, scheme.base)
        supported(scheme.options, options, f"{scheme.base} of {recipe.format} from {source.framework}")
        if scheme.options.batch not in (None, 1) and not source.any_batch:
            raise Unsupported("the network itself takes one image at a time: export it for any batch")
        with phases.phase(phases.CONVERT):
            format_module.convert(source.with_options(scheme.options), scheme.base, file)
    except (EdgewiseError, judge.Defect, OSError, MemoryError):
        raise
    except Exception as error:  # what a library raises over a network; our own defects stay failures
        # phases.py watches every import: one that fails in a library passes through there
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != phases.__file__]
        if frames and Path(frames[-1].filename).is_relative_to(ROOT) and "site-packages" not in frames[-1].filename:
            raise
        traceback.print_exc()
        library = re.search(r"site-packages[/\\]([^/\\]+)", " ".join(f.filename for f in reversed(frames)))
        msg = f"{library[1] if library else 'the toolchain'} cannot convert it: {type(error).__name__}: {_first_line(error)}"
        raise Unsupported(msg) from error


class _Trial:
    """What a converted file is tried on, and what it must answer.

    Its logits are judged on the first images of the evaluation set, `parity` of them; `index` are these, then the hardest.
    `batch` is how many images the file takes at once, -1 for any number.
    """

    def __init__(self, recipe: Recipe, source: Source, reference: Reference, contents: Contents) -> None:
        self.recipe, self.source, self.reference, self.contents = recipe, source, reference, contents
        self.scheme, self.batch = SCHEMES[recipe.scheme], contents.inputs[0].shape[0]
        self.parity = min(PARITY_IMAGES, len(reference.images))
        hardest = np.argsort(reference.margins, kind="stable")[:GOLDEN_HARDEST]
        self.index = np.concatenate([np.arange(self.parity), hardest])

    def judged_logits(self, file: Path) -> np.ndarray:
        """Return the file's logits [N,K] for the images; raises Unsupported or Defect where they are not the network's."""
        requested, parity = self.scheme.options.batch, self.parity
        if requested not in (None, DYNAMIC if self.batch == -1 else self.batch):
            batches = {-1: "any number of images", 1: "one image"}.get(self.batch, f"{self.batch} images")
            raise Unsupported(f"{self.recipe.format} makes files for {batches} only")
        try:
            logits = self.logits(file, self.index, abs(self.batch))
        except (judge.Defect, EdgewiseError, OSError, MemoryError, isolated.Failed):
            raise
        except Exception as error:  # runtimes raise anything
            where = "does not run" if requested is None else "does not run for this batch"
            raise Unsupported(f"it was written, but {where} in its own runtime: {_first_line(error)}") from error
        if not np.isfinite(logits).all():  # the hardest images' too, which are not judged by how far they are off
            raise judge.Defect("the logits are not finite")
        try:
            judge.judge_logits(logits[:parity], self.reference.logits[:parity], self.scheme)
        except judge.Defect as error:
            if not self.scheme.trained:
                raise
            raise Unsupported(f"fine-tuning moves the network away from its own answers: {error}") from error
        if self.batch == -1:
            try:
                together = self.logits(file, self.index[:parity], TOGETHER)
                judge.judge_logits(together, self.reference.logits[:parity], self.scheme)
            except Exception as error:  # runtimes raise anything
                raise Unsupported(f"it takes one image, but not {TOGETHER} at once: {_first_line(error)}") from error
        return logits

    def rewritten(self, file: Path, logits: np.ndarray) -> rewriting.Rewriting:
        """Rewrite the file where its format has rewrites and the user wants them; `logits` are its logits so far."""
        if not self.source.rewrites or self.scheme.in_force.rewrites is False:
            return rewriting.Rewriting(logits=logits)
        logits_of = partial(self.logits, index=self.index, batch=abs(self.batch))
        return rewriting.applied(FORMATS[self.recipe.format], file, logits_of, logits, self.scheme)

    def logits(self, file: Path, index: np.ndarray, batch: int) -> np.ndarray:
        """Return the file's logits [N,K] for images of the evaluation set, so many at once."""
        images = self.source.input(self.reference.images[index])
        more = {} if batch == 1 else {"batch": batch}  # formats that only take one image need not know the word
        with phases.phase(phases.JUDGE):
            native = FORMATS[self.recipe.format].run(file, judge.to_native(images, self.contents.inputs[0]), **more)
        return judge.to_logits(native, self.contents.outputs[0])

    def golden(self, logits: np.ndarray) -> Iterator[Golden]:
        """Yield the images that the sidecar holds, with their logits of those for all images."""
        pixels = "image_u8" if self.reference.images.dtype == np.uint8 else "image_f32"
        for i in (*range(min(GOLDEN_FIRST, self.parity)), *range(self.parity, len(self.index))):
            at = int(self.index[i])
            image = base64.b64encode(self.reference.images[at].tobytes()).decode()
            label, values = int(self.reference.labels[at]), tuple(float(x) for x in logits[i])
            yield Golden(index=at, label=label, logits=values, **{pixels: image})


def _notes(source: Source, scheme: Scheme) -> Iterator[str]:
    if scheme.static and source.calibration_note:
        yield source.calibration_note
    if scheme.name != scheme.base:
        yield f"{scheme.name} is {scheme.base} with {described(scheme.options) or 'nothing else'}"


def profile_of(source: Source) -> profiles.Profile:
    """Return what a network costs; raises DataError where its own description says otherwise."""
    return profiles.of(source.model, source.framework, source.network, source.input_shape, source.deployed.stated)


def distinct_weights(source: Source) -> int:
    """Count a network's weights without those that equal others: layers may share them, or begin as copies."""
    arrays = FRAMEWORKS[source.framework].weights(source.network).values()
    matrices = (a for a in arrays if a.size > max(a.shape, default=1))  # a vector, however shaped, may pass for a bias
    return sum({(a.shape, a.tobytes()): a.size for a in matrices}.values())


def completed(contents: Contents, source: Source) -> Contents:
    """Return a file's contents with the input and output that the file does not tell, as the source has them."""
    image = Tensor(name="image", shape=(1, *source.input_shape), dtype="float32")
    inputs = contents.inputs or (image,)
    logits = Tensor(name="logits", shape=(inputs[0].shape[0], source.classes), dtype="float32")
    return replace(contents, inputs=inputs, outputs=contents.outputs or (logits,))


def reproducible(format_module: Any, scheme: str) -> bool | str:
    """Return True, or the reason why other bytes may come out: a format's, or that of one of its schemes."""
    reason = getattr(format_module, "irreproducible", True)
    return reason.get(scheme, True) if isinstance(reason, dict) else reason


def _first_line(error: BaseException) -> str:
    """Return an error's first line, and what follows where that ends in a colon; without paths of this machine or colours.

    Where another error is its cause, as of torch.onnx' "Failed to decompose the FX graph", that says what is the matter.
    """
    text = re.sub(r"\S*site-packages/|\x1b\[[\d;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])[:300] or "no message"
    if not (cause := error.__cause__):
        return first
    return f"{first.partition('. ')[0].rstrip('.')}, because of {type(cause).__name__}: {_first_line(cause)}"
