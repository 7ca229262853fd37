"""`python -m device_tests.fuzz`: damaged artifacts through the real runtimes. Whatever they do must end as a row."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from device_tests import devices
from device_tests.cells import Cell, cells
from device_tests.devices import Job
from device_tests.measurement import OUTCOMES
from device_tests.turns import Turns
from export import artifact as artifacts
from models import console, files, reference
from models.console import out
from models.errors import DataError, EdgewiseError, UsageError, did_you_mean

MODEL = "torch_cnn_small"  # the smallest files: a flipped bit meets structure more often than weights
# one artifact and one runtime per format; SavedModels exist of Keras only
SUBJECTS = {
    "tflite": f"{MODEL}-tflite-int8@litert@desktop",
    "torchscript": f"{MODEL}-torchscript-float32@torch@desktop",
    "torchscript_lite": f"{MODEL}-torchscript_lite-float32@torch@desktop",
    "executorch": f"{MODEL}-executorch-int8@executorch@desktop",
    "onnx": f"{MODEL}-onnx-int8@onnxruntime@desktop",
    "ort": f"{MODEL}-ort-int8@onnxruntime@desktop",
    "savedmodel": "keras_cnn-savedmodel-float32@tensorflow@desktop",
    "eager": f"{MODEL}-eager-float32@torch@desktop",
}
IMAGES, LATENCY_S, TIMEOUT_S = 100, 0.05, 60.0

Damage = Callable[[bytes, random.Random], bytes]


def _flip(content: bytes, rng: random.Random) -> bytes:
    broken = bytearray(content)
    for _ in range(rng.choice((1, 4, 64))):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def _zero(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.choice((16, 256, 4096))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def _declare_huge(content: bytes, rng: random.Random) -> bytes:
    """Overwrite four bytes near either end, where formats keep their tables, with the largest sizes."""
    near = min(2048, len(content) - 4)
    start = rng.choice((rng.randrange(near), len(content) - 4 - rng.randrange(near)))
    return content[:start] + rng.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff")) + content[start + 4 :]


def _empty(content: bytes, rng: random.Random) -> bytes:
    return b""


def _noise(content: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(content))


DAMAGES: dict[str, Damage] = {
    "bit flips": _flip,
    "truncated": _truncate,
    "zeroed run": _zero,
    "huge size": _declare_huge,
    "another format": lambda content, rng: content,  # its content comes from another format's file
    "noise": _noise,
    "empty": _empty,
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


def trial(cell: Cell, artifacts_folder: Path, name: str, seed: str, turns: Turns) -> dict[str, Any]:
    """Return the row of one damaged artifact."""
    sidecar = artifacts.sidecar_path(artifacts_folder, cell.recipe.id)
    whole = artifacts.check(artifacts.read(sidecar), artifacts_folder)
    other_format = "onnx" if cell.recipe.format != "onnx" else "tflite"
    other = (
        artifacts_folder / artifacts.read(artifacts.sidecar_path(artifacts_folder, f"{MODEL}-{other_format}-int8")).file
    )
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder) / whole.name
        damage(whole, broken, name, random.Random(seed), other)
        job = Job(
            runtime=cell.runtime,
            artifact=broken,
            sidecar=sidecar,
            reference=reference.path(artifacts_folder, cell.recipe.model),
            images=IMAGES,
            latency_s=LATENCY_S,
            timeout_s=TIMEOUT_S,
        )
        return devices.device(cell.device).run(job, turns)


@click.command()
@click.option("--only", "formats", multiple=True, metavar="FORMAT", help="Only this format; may be repeated.")
@click.option("--count", default=200, show_default=True, type=click.IntRange(1), help="Damaged artifacts per format.")
@click.option("--seed", default=0, show_default=True, help="The same seed damages the same bytes.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes side by side.")
@click.option(
    "--artifacts", "folder", default="artifacts", show_default=True, type=click.Path(path_type=Path, file_okay=False)
)
def command(formats: tuple[str, ...], count: int, seed: int, jobs: int, folder: Path) -> None:
    """Run damaged artifacts on their real runtimes and print how each kind of damage ended."""
    for name in formats:
        if name not in SUBJECTS:
            msg = f"There is no format {name!r}. {did_you_mean(name, SUBJECTS)}"
            raise UsageError(msg)
    if not folder.is_dir():
        msg = f"There are no artifacts in {folder}. Make them with: nox -s export"
        raise DataError(msg)
    every = {cell.id: cell for cell in cells()}
    chosen = {name: every[id] for name, id in SUBJECTS.items() if not formats or name in formats}
    for cell in chosen.values():
        devices.device(cell.device).require(cell.runtime)

    rng, turns = random.Random(seed), Turns(jobs)
    plan = [
        (name, kind, f"{seed} {name} {i}")
        for name in chosen
        for i, kind in enumerate(rng.choices(tuple(DAMAGES), WEIGHTS, k=count))
    ]
    tally: Counter[tuple[str, str]] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress, ThreadPoolExecutor(jobs) as pool:
        task = progress.add_task("fuzz", total=len(plan))
        futures = {
            pool.submit(trial, chosen[name], folder, kind, text, turns): (name, kind, text) for name, kind, text in plan
        }
        try:
            for future in as_completed(futures):
                name, kind, text = futures[future]
                row = future.result()
                if row["outcome"] not in OUTCOMES:
                    msg = f"{name}, {kind}, seed {text!r}: {row['outcome']!r} is no outcome"
                    raise EdgewiseError(msg)
                tally[name, row["outcome"]] += 1
                progress.advance(task)
        except BaseException:
            turns.close()
            pool.shutdown(wait=False, cancel_futures=True)
            devices.device(devices.DESKTOP).stop()
            raise
    out.print(table(tally, tuple(chosen)))
    out.print("ok: the damage met bytes that no answer depends on, or moved the answers less than a mismatch does.")


def table(tally: Counter[tuple[str, str]], formats: tuple[str, ...]) -> Table:
    """Return how often each format ended in each outcome."""
    seen = [o for o in OUTCOMES if any(tally[name, o] for name in formats)]
    drawn = Table(title="Damaged artifacts on real runtimes")
    drawn.add_column("format")
    for title in (*seen, "all"):
        drawn.add_column(title, justify="right")
    for name in formats:
        counts = [tally[name, outcome] for outcome in seen]
        drawn.add_row(name, *(str(n) for n in counts), str(sum(counts)))
    return drawn


if __name__ == "__main__":
    console.main(command)
