"""Runs one artifact on one runtime and prints its logits and times as one line of JSON.

Stands alone, for it is copied to devices, too.

It needs the standard library, numpy and the one runtime. With `--turns` it asks on stdout, a line of JSON each time,
to be `alone` on the machine or to `share` it, and waits for a line on stdin: times are taken alone, answers judged side
by side. While it judges it asks again every TURN_S seconds, which lets others be alone and shows that it is alive.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import platform
import queue
import sys
import threading
import time
import traceback
import zlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # arrays are only copied here, and threads forbid warm.py to fork
import numpy as np

SAMPLES = 1_024  # of the warm latency
WARM_UP, WARM_UP_S = 64, 1.0  # inferences before them, whichever ends first; at least WARM_UP_LEAST
WARM_UP_LEAST = 3
SLOW_NS, SLOW_IMAGES = 5_000_000, 1_000  # a slower inference is judged on fewer images
FEW = 200  # of each other evaluation set, where the inference is slow or few images are asked for
ALIVE_S = 10.0  # at most between two signs of life while it takes times
TURN_S = 0.25  # how long it keeps a share of the machine before it asks again
MEMORY_BYTES = 4 << 30  # that an artifact may take over its runtime: a damaged one may ask for anything
ABANDONED = 3  # the exit code where whoever started this program is gone
TOGETHER = 17  # images that an artifact for any batch is asked at once: some libraries make a special case of up to 16
BUSY = 1.25  # CPU time per wall time above which more than one thread must have been at work
STARVED = 0.9  # and below which other programs took the core away


@dataclasses.dataclass
class Reply:
    """What the worker prints: raw figures, as far as it came.

    `logits` holds float32 [N,K] of the first N images of the first evaluation set, little-endian, zlib and base64, and
    `sets` the same of each other set, by its name. Times are in nanoseconds.
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
    """The cell ends here, with an outcome and its reason."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


def main(runtime=None) -> None:
    """Print the reply; `runtime` is one that has been started before this process was forked (warm.py)."""
    # Libraries print what they like to fd 1; only this program knows where the real one went.
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    options = parse()
    reply = Reply()
    try:
        measure(options, reply, Turns(answer) if options.turns else None, runtime)
    except Failed as failure:
        traceback.print_exc()
        reply.outcome, reply.reason = failure.outcome, failure.reason
    print(reply.line(), file=answer)


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
    """Asks whoever started this program for the machine, and ends this program when nobody is there any more."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.given: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self, turn: str) -> None:
        print(json.dumps({"turn": turn}), file=self.answer)
        self.given.get()
        self.spoke = time.monotonic()

    def live(self) -> None:
        """Show now and then that this program is alive; unlike a question, that waits for nobody."""
        if time.monotonic() > self.spoke + ALIVE_S:
            print(json.dumps({"turn": "kept"}), file=self.answer)
            self.spoke = time.monotonic()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.given.put(line)
        os._exit(ABANDONED)  # at once, whatever a runtime is doing: no client, adb and ssh among them, kills it for us


def measure(options: argparse.Namespace, reply: Reply, turns: Turns | None, runtime=None) -> None:
    """Fill in what is measured, as far as it comes; raises Failed where it cannot go on."""
    runtime = start(options, reply, runtime)
    sidecar = json.loads(options.sidecar.read_text())
    source, target = sidecar["inputs"][0], sidecar["outputs"][0]
    with np.load(options.reference, allow_pickle=False) as reference:
        images = reference["images"]
        others = {name: reference[name + ".images"] for name in json.loads(str(reference["others"]))}
    warm = [native(image, source, sidecar["layout"]) for image in images[:WARM_UP]]
    # written once, so that it is in memory before the baseline
    logits = np.full((len(images), *single(target)[1:]), np.nan, np.float32)
    memory = Memory()

    if turns and options.latency_s:
        turns("alone")
    infer = load(options, runtime, reply)
    first = time.perf_counter_ns()
    logits[0] = run(infer, warm[0], target)
    reply.first_ns = time.perf_counter_ns() - first
    try:
        if options.latency_s:
            time_warm(infer, warm, options, reply, turns)
        count = images_to_judge(len(images), options, reply)
        answer(infer, images[1:count], logits[1:count], sidecar, turns)
        memory.read(reply)  # of one image at a time
        if source["shape"][0] == -1:
            answer_together(infer, images[:TOGETHER], logits[:count], sidecar, reply)
        for name, other in others.items():
            few = options.images or is_slow(reply.latencies_ns)
            other = other[: FEW if few else count]
            beside = np.empty((len(other), *logits.shape[1:]), np.float32)
            answer(infer, other, beside, sidecar, turns)
            reply.sets[name] = packed(beside)
    except Failed:
        raise
    except Exception as error:  # runtimes raise anything
        raise Failed("run_failed", first_line(error)) from error
    reply.logits = packed(logits[:count])


def packed(logits: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(logits.astype("<f4").tobytes())).decode()


def start(options: argparse.Namespace, reply: Reply, runtime=None):
    """Start the runtime, unless it has been; record the environment and the threads."""
    runtime = runtime or started(options.runtime, options.threads)
    reply.threads = options.threads
    reply.environment = environment(runtime.distributions)
    bound_memory()
    return runtime


def started(path: Path, threads: int):
    """Import a runtime's file and start it with so many threads."""
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


def bound_memory() -> None:
    """Let this process take MEMORY_BYTES more than it has; what asks for more gets an error, not the machine's last."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most, bound = pages * resource.getpagesize() + MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]
        if (
            bound != resource.RLIM_INFINITY
        ):  # whoever started this process set one, which it may not be allowed to raise
            most = min(most, bound)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, OSError):
        return  # not Linux


def load(options: argparse.Namespace, runtime, reply: Reply):
    began = time.perf_counter_ns()
    try:
        infer = runtime.load(options.artifact, options.threads)
    except Exception as error:  # runtimes raise anything
        told = " ".join(str(error).split())
        refused = any(word in told for word in runtime.refusals)
        raise Failed("unsupported" if refused else "load_failed", first_line(error)) from error
    reply.load_ns = time.perf_counter_ns() - began
    reply.arena_bytes = getattr(infer, "arena_bytes", None)
    return infer


def single(tensor: dict) -> tuple[int, ...]:
    """Return a tensor's shape for one inference: of the artifact's batch, or of one image where it takes any, which is -1."""
    return (max(tensor["shape"][0], 1), *tensor["shape"][1:])


def native(image: np.ndarray, tensor: dict, layout: str) -> np.ndarray:
    """Return an image [H,W] or [H,W,C] as the artifact takes it: uint8 becomes 0..1, float32 stays as it is.

    `layout` is the order of one image's axes in the input: hw, hwc or chw. Axes are transposed, never reshaped, which
    would scramble the pixels of several channels. Values are quantized where the input is. An artifact for a batch of
    several images gets as many times the same.
    """
    values = image.astype(np.float32)
    if image.dtype == np.uint8:
        values = values / np.float32(255.0)
    if layout == "hw":
        values = values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    else:
        values = values[..., None] if values.ndim == 2 else values
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0)) if layout == "chw" else values
    expected = single(tensor)
    values = np.repeat(values[None], expected[0], axis=0)
    if values.ndim != len(expected) or any(size not in (-1, got) for size, got in zip(expected, values.shape)):  # noqa: B905
        told = (
            f"the images have the shape {list(image.shape)}, which as {layout} is not the artifact's {list(expected)}"
        )
        raise Failed("run_failed", told)
    if tensor["scale"] is None:
        return values.astype(tensor["dtype"])
    bounds = np.iinfo(tensor["dtype"])
    quantized = np.rint(values / tensor["scale"]) + tensor["zero_point"]
    return np.clip(quantized, bounds.min, bounds.max).astype(tensor["dtype"])


def golden_image(golden: dict, sidecar: dict) -> np.ndarray:
    """Return the pixels of one of a sidecar's golden vectors, uint8 or float32, [H,W] or [H,W,C]."""
    content, dtype = (golden["image_u8"], "u1") if golden.get("image_u8") else (golden["image_f32"], "<f4")
    shape, layout = sidecar["inputs"][0]["shape"][1:], sidecar["layout"]
    if layout == "chw":
        shape = [*shape[1:], shape[0]]
    return np.frombuffer(base64.b64decode(content), dtype).reshape(shape)


def run(infer, image: np.ndarray, tensor: dict) -> np.ndarray:
    """Return the logits of the first image of an inference, [K]."""
    return run_batch(infer, image, tensor, single(tensor)[0])[0]


def run_batch(infer, images: np.ndarray, tensor: dict, size: int) -> np.ndarray:
    """Return the logits [size,K] of one inference."""
    try:
        answer = np.asarray(infer(images))
    except Exception as error:  # runtimes raise anything
        raise Failed("run_failed", first_line(error)) from error
    expected = (size, *tensor["shape"][1:])
    if answer.shape != expected or answer.dtype != tensor["dtype"]:
        told, promised = f"{answer.dtype} {list(answer.shape)}", f"{tensor['dtype']} {list(expected)}"
        raise Failed("run_failed", f"the output is {told}, the sidecar says {promised}")
    if tensor["scale"] is None:
        return answer
    return (answer.astype(np.float32) - tensor["zero_point"]) * tensor["scale"]


def answer(infer, images: np.ndarray, answers: np.ndarray, sidecar: dict, turns: Turns | None) -> None:
    """Fill `answers` [N,K] with the logits of images [N,H,W] or [N,H,W,C], in batches of the artifact's size."""
    turn_ends = 0.0
    source, target = sidecar["inputs"][0], sidecar["outputs"][0]
    size = single(source)[0]
    for i in range(0, len(images), size):
        if turns and time.monotonic() > turn_ends:
            turns("share")
            turn_ends = time.monotonic() + TURN_S
        batch = native(images[i], source, sidecar["layout"])
        for j in range(1, min(size, len(images) - i)):
            batch[j] = native(images[i + j], source, sidecar["layout"])[0]
        answers[i : i + size] = run_batch(infer, batch, target, size)[: len(images) - i]


def answer_together(infer, images: np.ndarray, alone: np.ndarray, sidecar: dict, reply: Reply) -> None:
    """Ask several images at once, and note where their logits differ from those `alone` [N,K].

    Raises Failed where they are others. Ranges that are found while running are those of the whole batch.
    """
    source, target = sidecar["inputs"][0], sidecar["outputs"][0]
    images = images[: len(alone)]
    batch = np.concatenate([native(image, source, sidecar["layout"]) for image in images])
    alone = alone[: len(images)]
    apart, span = float(np.abs(run_batch(infer, batch, target, len(batch)) - alone).max()), float(np.ptp(alone))
    told = f"logits of {len(images)} images at once differ by up to {apart:.2g} from those one by one, which span {span:.2g}"
    if not apart <= span / 2:
        raise Failed("run_failed", told)
    if apart > span / 100:
        reply.notes.append(told)


def time_warm(infer, images: list, options: argparse.Namespace, reply: Reply, turns: Turns | None) -> None:
    """Sample the latency of single inferences, in nanoseconds, once the runtime is warm."""
    end = time.perf_counter() + WARM_UP_S
    for i in range(WARM_UP):
        if i >= WARM_UP_LEAST and time.perf_counter() > end:
            break
        infer(images[i % len(images)])
    samples: list[int] = []
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    end = wall + options.latency_s * 1e9
    while len(samples) < SAMPLES:
        if turns:
            turns.live()
        image = images[len(samples) % len(images)]
        began = time.perf_counter_ns()
        infer(image)
        ended = time.perf_counter_ns()
        samples.append(ended - began)
        if ended > end:
            reply.notes.append(f"{len(samples)} latency samples in {options.latency_s:g} s, not {SAMPLES}")
            break
    busy = (time.process_time_ns() - cpu) / (time.perf_counter_ns() - wall)
    reply.latencies_ns, reply.cpu_per_wall = samples, round(busy, 3)
    if busy > BUSY * options.threads:
        reply.notes.append(f"more than {options.threads} thread was at work: {busy:.2f} s of CPU per second")
    if busy < STARVED:
        reply.notes.append(f"timed on a busy machine: it had {busy:.0%} of a core")


def images_to_judge(available: int, options: argparse.Namespace, reply: Reply) -> int:
    count = min(available, options.images or available)
    if is_slow(reply.latencies_ns) and count > SLOW_IMAGES:
        taken = f"an inference takes {np.median(reply.latencies_ns) / 1e6:.1f} ms"
        reply.notes.append(f"judged on the first {SLOW_IMAGES:,} images: {taken}")
        return SLOW_IMAGES
    return count


def is_slow(latencies_ns: list) -> bool:
    return bool(latencies_ns) and float(np.median(latencies_ns)) > SLOW_NS


class Memory:
    """Resident memory: the baseline holds the runtime and the reference, the peak is the highest after it.

    On Linux both are the kernel's own figures (VmRSS, and VmHWM after a reset). Elsewhere the peak is the whole
    process', from its start on, and there is no baseline.
    """

    STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        try:
            self.RESET.write_text("5")
            self.baseline = self._status("VmRSS")
        except OSError:
            self.baseline = None

    def read(self, reply: Reply) -> None:
        reply.baseline_rss_bytes = self.baseline
        if self.baseline is not None:
            reply.peak_rss_bytes = self._status("VmHWM")
            return
        try:
            import resource
        except ImportError:  # Windows
            reply.peak_rss_bytes = None
            reply.notes.append("this system does not tell the peak of resident memory")
            return
        unit = 1 if sys.platform == "darwin" else 1024
        reply.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        reply.notes.append("the peak of resident memory is that of the whole process, without a baseline")

    def _status(self, name: str) -> int:
        line = next(line for line in self.STATUS.read_text().splitlines() if line.startswith(name + ":"))
        return int(line.split()[1]) * 1024


def environment(distributions: tuple[str, ...]) -> dict:
    """Return where a measurement was taken; a time means nothing without it."""
    return {
        "runtime": {name: importlib.metadata.version(name) for name in distributions},
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "os": platform.platform(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017 - devices have older Pythons
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    arm = (f"{name} {fields[name]}" for name in ("CPU implementer", "CPU part") if name in fields)
    return fields.get("model name") or " ".join(arm)


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"


if __name__ == "__main__":
    main()
