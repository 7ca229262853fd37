"""`python -m tests.device_tests.fuzz.fuzz`: damaged artifacts through the real runtimes. Whatever they do must end as a row.

Each damaged artifact has a process of its own, forked from one that has started the runtime (forks.py).
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from device_tests import devices, pool
from device_tests.cells import Cell, cells, require_artifacts
from device_tests.contract import Broken, Load
from device_tests.devices import desktop
from device_tests.results import judging
from device_tests.results.measurement import OUTCOMES
from device_tests.transport.dialogue import Conversations
from export.artifact import check, read, sidecar_path
from models import reference
from models.common import console, files
from models.common.console import out
from models.common.errors import EdgewiseError, UsageError, did_you_mean
from models.reference import Reference
from tests.device_tests.fuzz import forks

MODEL = "torch_cnn_small"  # the smallest files: a flipped bit meets structure more often than weights
# one artifact and one runtime per format; SavedModels exist of Keras only
SUBJECTS = {
    "tflite": f"{MODEL}-tflite-int8@litert@desktop",
    "torchscript": f"{MODEL}-torchscript-float32@torch@desktop",
    "torchscript_lite": f"{MODEL}-torchscript_lite-float32@torch@desktop",
    "executorch": f"{MODEL}-executorch-int8@executorch@desktop",
    "executorch_portable": f"{MODEL}-executorch_portable-float32@executorch@desktop",
    "onnx": f"{MODEL}-onnx-int8@onnxruntime@desktop",
    "ort": f"{MODEL}-ort-int8@onnxruntime@desktop",
    "savedmodel": "keras_cnn-savedmodel-float32@tensorflow@desktop",
    "openvino": f"{MODEL}-openvino-float32@openvino@desktop",
    "ncnn": f"{MODEL}-ncnn-float32@ncnn@desktop",
    "coreml": f"{MODEL}-coreml-float32@mil_evaluator@desktop",
    "eager": f"{MODEL}-eager-float32@torch@desktop",
}
IMAGES = 100
AT_ONCE = 50  # damaged artifacts per process that forks

Damage = Callable[[bytes, random.Random], bytes]


def _flip(content: bytes, rng: random.Random) -> bytes:
    broken = bytearray(content)
    for _ in range(rng.choice((1, 4, 64))):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _zero(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.choice((16, 256, 4096))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def _declare_huge(content: bytes, rng: random.Random) -> bytes:
    """Overwrite four bytes near either end, where formats keep their tables, with the largest sizes."""
    near = min(2048, len(content) - 4)
    start = rng.choice((rng.randrange(near), len(content) - 4 - rng.randrange(near)))
    return content[:start] + rng.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff")) + content[start + 4 :]


DAMAGES: dict[str, Damage] = {
    "bit flips": _flip,
    "truncated": lambda content, rng: content[: rng.randrange(1, len(content))],
    "zeroed run": _zero,
    "huge size": _declare_huge,
    "another format": lambda content, rng: content,  # its content comes from another format's file
    "noise": lambda content, rng: rng.randbytes(len(content)),
    "empty": lambda content, rng: b"",
}
WEIGHTS = (35, 20, 20, 15, 5, 3, 2)  # of the damages, in their order


def damage(source: Path, target: Path, name: str, rng: random.Random, other: Path) -> None:
    """Copy an artifact, a file or a folder, with one kind of damage; in a folder one of its files has it."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    victim = rng.choice(files.members(target))
    content = (other if name == "another format" else victim).read_bytes()
    victim.write_bytes(DAMAGES[name](content, rng))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One damaged artifact of a format, and what became of it: the same `seed` damages the same bytes.

    The peak of memory is that of its process, with the runtime.
    """

    format: str
    damage: str
    seed: str
    outcome: str = ""
    reason: str = ""
    seconds: float = 0.0
    peak_rss_bytes: int = 0


def plan(name: str, count: int, seed: int) -> tuple[Trial, ...]:
    """Return `count` trials of a format; what they are depends on nothing but the seed."""
    kinds = random.Random(f"{seed} {name}").choices(tuple(DAMAGES), WEIGHTS, k=count)
    return tuple(Trial(format=name, damage=kind, seed=f"{seed} {name} {i}") for i, kind in enumerate(kinds))


def run(trials: tuple[Trial, ...], cell: Cell, artifacts_folder: Path, processes: Conversations) -> list[Trial]:
    """Run trials of one format, one after the other, in children of one process."""
    sidecar = sidecar_path(artifacts_folder, cell.recipe.id)
    whole = check(read(sidecar), artifacts_folder)
    other_format = "onnx" if cell.recipe.format != "onnx" else "tflite"
    other = read(sidecar_path(artifacts_folder, f"{MODEL}-{other_format}-int8")).file
    ended = []
    with tempfile.TemporaryDirectory() as folder:
        whole_set = reference.load(reference.path(artifacts_folder, cell.recipe.model))
        first = {name: value[:IMAGES] for name, value in vars(whole_set).items() if isinstance(value, np.ndarray)}
        few = replace(whole_set, **first)  # to read them all takes longer than most trials
        images = Path(folder) / "reference.npz"
        reference.save(few, images)
        load = Load(runtime=cell.runtime, artifact=whole, sidecar=sidecar, timeout_s=2 * forks.LIMIT_S)
        command = desktop.command(forks.__file__, load, "--reference", str(images), "--latency-s", "0")
        try:
            with processes.loaded(command, load) as (_, ask):
                sound = judged(ask({"artifact": str(whole.resolve())}), few)
                if sound["outcome"] != "ok":
                    raise Broken(sound["outcome"], f"the undamaged artifact: {sound['reason']}")
                for trial in trials:
                    broken = Path(folder) / whole.name
                    damage(whole, broken, trial.damage, random.Random(trial.seed), artifacts_folder / other)
                    ended.append(replace(trial, **judged(ask({"artifact": str(broken)}), few)))
                    files.remove(broken)
        except Broken as end:
            raise EdgewiseError(f"{cell.id} cannot be tried with damage: {end.outcome}: {end.reason}") from end
    return ended


def judged(reply: dict[str, Any], reference_set: Reference) -> dict[str, Any]:
    """Return what became of a trial: the child's own outcome, or what its logits are worth."""
    row = {name: reply[name] for name in ("outcome", "reason", "seconds", "peak_rss_bytes")}
    if row["outcome"] == "ok":
        logits = judging.unpack(reply["logits"], reference_set.logits.shape[1], len(reference_set.images))
        judgement = judging.judge(logits, reference_set)
        row |= {"outcome": judgement.outcome, "reason": judgement.reason}
    return row


@click.command()
@click.option("--only", "formats", multiple=True, metavar="FORMAT", help="Only this format; may be repeated.")
@click.option("--count", default=200, show_default=True, type=click.IntRange(1), help="Damaged artifacts per format.")
@click.option("--seed", default=0, show_default=True, help="The same seed damages the same bytes.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes side by side.")
@click.option("--artifacts", default="artifacts", show_default=True, type=click.Path(path_type=Path, file_okay=False))
def command(formats: tuple[str, ...], count: int, seed: int, jobs: int, artifacts: Path) -> None:
    """Run damaged artifacts on their real runtimes and print how each kind of damage ended."""
    for name in formats:
        if name not in SUBJECTS:
            raise UsageError(f"There is no format {name!r}. {did_you_mean(name, SUBJECTS)}")
    console.validated()
    require_artifacts(artifacts)
    every = {cell.id: cell for cell in cells()}
    chosen = {name: every[id] for name, id in SUBJECTS.items() if not formats or name in formats}
    for cell in chosen.values():
        devices.device(cell.device).require(cell.runtime)

    ended: list[Trial] = []
    processes = Conversations()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    starts = range(0, count, AT_ONCE)
    parts = [(plan(name, count, seed)[i : i + AT_ONCE], cell) for name, cell in chosen.items() for i in starts]
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("fuzz", total=count * len(chosen))

        def take(ends: list[Trial]) -> None:
            ended.extend(ends)
            progress.update(task, completed=len(ended))

        pool.run_all(
            parts, lambda part: run(*part, artifacts, processes), take, sizes={"": jobs}, cancel=processes.stop
        )
    out.print(table(ended, tuple(chosen)))
    out.print("ok: the damage met bytes that no answer depends on, or moved the answers less than a mismatch does.")
    if strange := [end for end in ended if end.outcome not in OUTCOMES]:
        raise EdgewiseError(f"{strange[0]} ended as {strange[0].outcome!r}, which is no outcome.")


def table(ended: list[Trial], formats: tuple[str, ...]) -> Table:
    """Return how often each format ended in each outcome, and the most time and memory that a process took."""
    tally = Counter((end.format, end.outcome) for end in ended)
    seen = [o for o in OUTCOMES if any(tally[name, o] for name in formats)]
    figures = (Column(title, justify="right") for title in (*seen, "all", "most s", "most MB"))
    drawn = Table("format", *figures, title="Damaged artifacts on real runtimes")
    for name in formats:
        own = [end for end in ended if end.format == name]
        counts = [tally[name, outcome] for outcome in seen]
        most = f"{max(e.seconds for e in own):.1f}", f"{max(e.peak_rss_bytes for e in own) / 1e6:,.0f}"
        drawn.add_row(name, *(str(n) for n in counts), str(len(own)), *most)
    return drawn


if __name__ == "__main__":
    console.main(command)
