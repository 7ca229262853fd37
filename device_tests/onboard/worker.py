"""Runs one artifact on one runtime and prints its logits and times as one line of JSON.

It needs the standard library, numpy, the one runtime, and the files of this folder that it imports; all are copied to
devices, too. With `--turns` it asks on stdout, a line of JSON each time, to be `alone` on the machine or to `share` it,
and waits for a line on stdin: times are taken alone, images judged side by side. While it judges it asks again every
TURN_S seconds, which lets others be alone and shows that it is alive. A slow worker sends the logits so far now and
then, and asks whether they are `enough`.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import importlib.util
import json
import os
import queue
import sys
import threading
import time
import traceback
import zlib
from pathlib import Path
from typing import Optional

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # arrays are only copied here, and threads forbid warm.py to fork
import numpy as np

if __package__:
    from device_tests.onboard import pixels, sampling, surroundings
else:  # where it runs, these files lie beside it
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which `python -I` leaves out
    import pixels
    import sampling
    import surroundings

ALIVE_S = 10.0  # most seconds between two signs of life while times are taken
TURN_S = 0.05  # seconds for which it keeps a share of the machine before it asks again
ABANDONED = 3  # the exit code if the program that started this one is gone
TOGETHER = 17  # images in one batch for an artifact of any batch: some libraries treat up to 16 specially


@dataclasses.dataclass
class Reply:
    """The printed line: raw figures, as far as the worker came.

    `logits` holds float32 [N,K] of the first N images of the first evaluation set, little-endian, zlib and base64, and
    `sets` the same of each other set by its name. Times are in nanoseconds.
    """

    outcome: str = "ok"
    reason: str = ""
    notes: list = dataclasses.field(default_factory=list)
    environment: dict = dataclasses.field(default_factory=dict)
    threads: Optional[int] = None  # noqa: UP045 - devices have older Pythons
    load_ns: Optional[int] = None  # noqa: UP045
    first_ns: Optional[int] = None  # noqa: UP045
    latencies_ns: list = dataclasses.field(default_factory=list)
    cpu_per_wall: Optional[float] = None  # noqa: UP045
    baseline_rss_bytes: Optional[int] = None  # noqa: UP045
    peak_rss_bytes: Optional[int] = None  # noqa: UP045
    arena_bytes: Optional[int] = None  # noqa: UP045
    logits: str = ""
    sets: dict = dataclasses.field(default_factory=dict)

    def line(self) -> str:
        return json.dumps(dataclasses.asdict(self), allow_nan=False)


class Failed(Exception):
    """The cell ends here, with an outcome and a reason."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


def main(runtime=None) -> None:
    """Print the reply; `runtime` is one that was started before this process was forked (warm.py)."""
    # Libraries print what they like to fd 1; only this program knows where the real one went.
    stdout = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    options = parse()
    reply = Reply()
    try:
        measure(options, reply, Turns(stdout) if options.turns else None, runtime)
    except Failed as failure:
        traceback.print_exc()
        reply.outcome, reply.reason = failure.outcome, failure.reason
    print(reply.line(), file=stdout)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="a file of runtimes/")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--sidecar", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--images", type=int, default=0, help="judge on the first N only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--latency-s", type=float, default=5.0, help="most time for latency samples, 0 for none")
    parser.add_argument("--turns", action="store_true", help="ask before times are taken")
    return parser.parse_args()


class Turns:
    """Asks the program that started this one for the machine, and ends this program when that one is gone."""

    def __init__(self, stdout) -> None:
        self.stdout = stdout
        self.lines: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self, turn: str, **more) -> str:
        """Ask, wait, and return the answer."""
        print(json.dumps({"turn": turn, **more}), file=self.stdout)
        line = self.lines.get()
        self.spoke = time.monotonic()
        return line.strip()

    def live(self) -> None:
        """Show now and then that this program is alive; unlike a question, this does not wait."""
        if time.monotonic() > self.spoke + ALIVE_S:
            print(json.dumps({"turn": "kept"}), file=self.stdout)
            self.spoke = time.monotonic()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.lines.put(line)
        # at once, whatever the runtime is doing: clients such as adb and ssh do not kill the worker
        os._exit(ABANDONED)


def measure(options: argparse.Namespace, reply: Reply, turns: Turns | None, runtime=None) -> None:
    """Fill in the reply, as far as it comes; raises Failed where it cannot go on."""
    runtime = start(options, reply, runtime)
    sidecar = json.loads(options.sidecar.read_text())
    source, target = sidecar["inputs"][0], sidecar["outputs"][0]
    with np.load(options.reference, allow_pickle=False) as reference:
        images = reference["images"]
        others = {name: reference[name + ".images"] for name in json.loads(str(reference["others"]))}
    warm = [native_image(image, sidecar) for image in images[: sampling.WARM_UP]]
    # filled, so that its pages are in memory before the baseline
    logits = np.full((len(images), *pixels.single(target)[1:]), np.nan, np.float32)
    memory = surroundings.Memory()

    if turns and options.latency_s:
        turns("alone")
    infer = load(options, runtime, reply)
    first = time.perf_counter_ns()
    logits[0] = run(infer, warm[0], target)
    reply.first_ns = time.perf_counter_ns() - first
    try:
        inference_ns = (
            time_warm(infer, warm, options, reply, turns) if options.latency_s else sampling.shortest(infer, warm)
        )
        slow = inference_ns > sampling.SLOW_NS
        count = judge(infer, images, logits, sidecar, options, reply, turns, slow=slow)
        reply.baseline_rss_bytes = memory.baseline
        reply.peak_rss_bytes = memory.peak(reply.notes)  # of one image at a time
        if source["shape"][0] == -1:
            compare_with_batch(infer, images[:TOGETHER], logits[:count], sidecar, reply)
        for name, other in others.items():
            other = other[: sampling.of_other_set(count, options.images, slow=slow)]
            beside = np.empty((len(other), *logits.shape[1:]), np.float32)
            fill_logits(infer, other, beside, sidecar, turns)
            reply.sets[name] = packed(beside)
    except Failed:
        raise
    except Exception as error:  # runtimes raise anything
        raise Failed("run_failed", first_line(error)) from error
    reply.logits = packed(logits[:count])


def time_warm(infer, images: list, options: argparse.Namespace, reply: Reply, turns: Turns | None) -> float:
    """Fill in the latencies; return their median in nanoseconds."""
    alive = turns.live if turns else lambda: None
    samples = sampling.take(infer, images, limit_s=options.latency_s, threads=options.threads, alive=alive)
    reply.latencies_ns, reply.cpu_per_wall = samples.ns, samples.cpu_per_wall
    reply.notes += samples.notes
    return float(np.median(samples.ns))


def judge(
    infer,
    images: np.ndarray,
    logits: np.ndarray,
    sidecar: dict,
    options: argparse.Namespace,
    reply: Reply,
    turns: Turns | None,
    *,
    slow: bool,
) -> int:
    """Fill in the logits [N,K] of as many images as are needed, of which the first is done; return that number."""
    done = 1
    looks = sampling.looks(len(images), options.images, slow=slow and turns is not None)
    for look in looks:
        fill_logits(infer, images[done:look], logits[done:look], sidecar, turns)
        done = look
        if look < looks[-1] and turns("enough", logits=packed(logits[:look])) == "enough":
            reply.notes.append(f"judged on the first {look:,} images: it is slow, and they show its agreement narrowly")
            break
    return done


def packed(logits: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(logits.astype("<f4").tobytes())).decode()


def start(options: argparse.Namespace, reply: Reply, runtime=None):
    """Start the runtime, unless it has been started; record the environment and the threads."""
    runtime = runtime or started(options.runtime, options.threads)
    reply.threads = options.threads
    reply.environment = surroundings.environment(runtime.distributions)
    surroundings.bound_memory()
    return runtime


def started(path: Path, threads: int):
    """Import a runtime's file and start the runtime with so many threads."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != here]  # its files would shadow libraries' names
    spec = importlib.util.spec_from_file_location("edgewise_runtime", path)
    runtime = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(runtime)
        taken = runtime.start(threads)
    except Exception as error:  # libraries raise anything on import
        raise Failed("load_failed", f"the runtime does not start: {first_line(error)}") from error
    if taken not in (None, threads):
        raise Failed("run_failed", f"asked for {threads} threads, the runtime uses {taken}")
    return runtime


def load(options: argparse.Namespace, runtime, reply: Reply):
    began = time.perf_counter_ns()
    try:
        infer = runtime.load(options.artifact, options.threads)
    except Exception as error:  # runtimes raise anything
        message = " ".join(str(error).split())
        refused = any(word in message for word in runtime.refusals)
        raise Failed("unsupported" if refused else "load_failed", first_line(error)) from error
    reply.load_ns = time.perf_counter_ns() - began
    reply.arena_bytes = getattr(infer, "arena_bytes", None)
    return infer


def native_image(image: np.ndarray, sidecar: dict) -> np.ndarray:
    """Return an image in the artifact's input format; raises Failed for one of another shape."""
    try:
        return pixels.native(image, sidecar["inputs"][0], sidecar["layout"])
    except ValueError as error:
        raise Failed("run_failed", str(error)) from error


def run(infer, image: np.ndarray, tensor: dict) -> np.ndarray:
    """Return the logits of the first image of an inference, [K]."""
    return run_batch(infer, image, tensor, pixels.single(tensor)[0])[0]


def run_batch(infer, images: np.ndarray, tensor: dict, size: int) -> np.ndarray:
    """Return the logits [size,K] of one inference."""
    try:
        output = np.asarray(infer(images))
    except Exception as error:  # runtimes raise anything
        raise Failed("run_failed", first_line(error)) from error
    expected = (size, *tensor["shape"][1:])
    if output.shape != expected or output.dtype != tensor["dtype"]:
        actual, promised = f"{output.dtype} {list(output.shape)}", f"{tensor['dtype']} {list(expected)}"
        raise Failed("run_failed", f"the output is {actual}, the sidecar says {promised}")
    return pixels.dequantized(output, tensor)


def fill_logits(infer, images: np.ndarray, logits: np.ndarray, sidecar: dict, turns: Turns | None) -> None:
    """Fill `logits` [N,K] with the logits of images [N,H,W] or [N,H,W,C], in batches of the artifact's size."""
    turn_ends = 0.0
    target, size = sidecar["outputs"][0], pixels.single(sidecar["inputs"][0])[0]
    for i in range(0, len(images), size):
        if turns and time.monotonic() > turn_ends:
            turns("share")
            turn_ends = time.monotonic() + TURN_S
        batch = native_image(images[i], sidecar)
        for j in range(1, min(size, len(images) - i)):
            batch[j] = native_image(images[i + j], sidecar)[0]
        logits[i : i + size] = run_batch(infer, batch, target, size)[: len(images) - i]


def compare_with_batch(infer, images: np.ndarray, alone: np.ndarray, sidecar: dict, reply: Reply) -> None:
    """Run several images at once, and note where their logits differ from those of single images, `alone` [N,K].

    Raises Failed where they differ by far. Quantization ranges that are found at run time are those of the whole batch,
    so small differences are expected.
    """
    target = sidecar["outputs"][0]
    images = images[: len(alone)]
    batch = np.concatenate([native_image(image, sidecar) for image in images])
    alone = alone[: len(images)]
    apart, span = float(np.abs(run_batch(infer, batch, target, len(batch)) - alone).max()), float(np.ptp(alone))
    differ = f"logits of {len(images)} images at once differ by up to {apart:.2g} from those one by one, which span {span:.2g}"
    if not apart <= span / 2:
        raise Failed("run_failed", differ)
    if apart > span / 100:
        reply.notes.append(differ)


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"


if __name__ == "__main__":
    main()
