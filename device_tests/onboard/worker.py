"""Runs one artifact on one runtime and prints one line of JSON; stands alone, for it runs on devices, too.

It needs the standard library, numpy and the one runtime. With `--turns` it asks on stdout, a line of JSON each time,
to be `alone` on the machine or to `share` it, and waits for a line on stdin: times are taken alone, answers judged side
by side. While it judges it asks again every second, which lets others be alone and shows that it is alive.
"""

from __future__ import annotations

import argparse
import base64
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

import numpy as np

SAMPLES = 1_024  # of the warm latency
WARM_UP, WARM_UP_S = 64, 1.0  # inferences before them, whichever ends first; at least WARM_UP_LEAST
WARM_UP_LEAST = 3
SLOW_NS, SLOW_IMAGES = 5_000_000, 1_000  # a slower inference is judged on fewer images
FEW_DIGITS = 200  # of the other data set, where the inference is slow or few images are asked for
ALIVE_S = 10.0  # at most between two signs of life while it takes times
TURN_S = 1.0  # how long it keeps a share of the machine before it asks again
SANE_AGREEMENT = 0.9  # below it the answers have nothing to do with the network's
FLIPS = 500  # kept of the images that are answered otherwise than by the source; all are counted
BINS = 15  # of the calibration error
MEMORY_BYTES = 4 << 30  # that an artifact may take over its runtime: a damaged one may ask for anything
ABANDONED = 3  # the exit code where whoever started this program is gone
BUSY = 1.25  # CPU time per wall time above which more than one thread must have been at work
STARVED = 0.9  # and below which other programs took the core away


class Failed(Exception):
    """The cell ends here, with an outcome and its reason."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


def main() -> None:
    # Libraries print what they like to fd 1; only this program knows where the real one went.
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    options = parse()
    row = {"outcome": "ok", "reason": "", "notes": []}
    try:
        measure(options, row, Turns(answer) if options.turns else None)
    except Failed as failure:
        traceback.print_exc()
        row |= {"outcome": failure.outcome, "reason": failure.reason}
    print(json.dumps(row, allow_nan=False), file=answer)


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


def measure(options: argparse.Namespace, row: dict, turns: Turns | None) -> None:
    """Fill `row` with what is measured, as far as it comes; raises Failed where it cannot go on."""
    runtime = start(options, row)
    sidecar = json.loads(options.sidecar.read_text())
    source, target = sidecar["inputs"][0], sidecar["outputs"][0]
    with np.load(options.reference, allow_pickle=False) as reference:
        images, labels, expected = (reference[name] for name in ("images", "labels", "logits"))
        # references made before there were digits in them have none
        digits = [reference[name] for name in ("digits_images", "digits_labels", "digits_logits") if name in reference]
    warm = [native(image, source) for image in images[:WARM_UP]]
    answers = np.full(expected.shape, np.nan, np.float32)  # written once, so that it is in memory before the baseline
    memory = Memory()

    if turns and options.latency_s:
        turns("alone")
    infer = load(options, runtime, row)
    first = time.perf_counter_ns()
    answers[0] = run(infer, warm[0], target)
    row["first_ns"] = time.perf_counter_ns() - first
    try:
        if options.latency_s:
            time_warm(infer, warm, options, row, turns)
        count = images_to_judge(len(images), row.get("latencies_ns", []), options, row)
        answer(infer, images[1:count], answers[1:count], sidecar, turns)
        memory.read(row)
        if digits and len(digits[0]):
            few = options.images or is_slow(row.get("latencies_ns", []))
            digits = [array[: FEW_DIGITS if few else count] for array in digits]
            beside = np.empty(digits[2].shape, np.float32)
            answer(infer, digits[0], beside, sidecar, turns)
            judge_digits(beside, *digits[1:], row)
    except Failed:
        raise
    except Exception as error:  # runtimes raise anything
        raise Failed("run_failed", first_line(error)) from error
    judge(answers[:count], labels[:count], expected[:count], row)
    row["answers"] = base64.b64encode(zlib.compress(answers[:count].astype("<f4").tobytes())).decode()


def start(options: argparse.Namespace, row: dict):
    """Import the runtime; record the environment and the threads."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != here]  # its files would shadow libraries' names
    spec = importlib.util.spec_from_file_location("edgewise_runtime", options.runtime)
    runtime = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(runtime)
        threads = runtime.start(options.threads)
    except Exception as error:  # libraries raise anything on import
        raise Failed("load_failed", f"the runtime does not start: {first_line(error)}") from error
    if threads not in (None, options.threads):
        raise Failed("run_failed", f"asked for {options.threads} threads, the runtime uses {threads}")
    row["threads"] = options.threads
    row["environment"] = environment(runtime.distributions)
    bound_memory()
    return runtime


def bound_memory() -> None:
    """Let this process take MEMORY_BYTES more than it has; what asks for more gets an error, not the machine's last."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES,) * 2)
    except (ImportError, OSError):
        return  # not Linux


def load(options: argparse.Namespace, runtime, row: dict):
    began = time.perf_counter_ns()
    try:
        infer = runtime.load(options.artifact, options.threads)
    except Exception as error:  # runtimes raise anything
        told = " ".join(str(error).split())
        refused = any(word in told for word in runtime.refusals)
        raise Failed("unsupported" if refused else "load_failed", first_line(error)) from error
    row["load_ns"] = time.perf_counter_ns() - began
    return infer


def single(tensor: dict) -> tuple[int, ...]:
    """Return a tensor's shape for one image; an artifact may take batches of any size, which is -1 in its sidecar."""
    return (1, *tensor["shape"][1:])


def native(image: np.ndarray, tensor: dict) -> np.ndarray:
    """Return uint8 [28,28] as the artifact takes it: grey values 0..1, quantized where its input is."""
    grey = (image.astype(np.float32) / np.float32(255.0)).reshape(single(tensor))
    if tensor["scale"] is None:
        return grey.astype(tensor["dtype"])
    bounds = np.iinfo(tensor["dtype"])
    quantized = np.rint(grey / tensor["scale"]) + tensor["zero_point"]
    return np.clip(quantized, bounds.min, bounds.max).astype(tensor["dtype"])


def run(infer, image: np.ndarray, tensor: dict) -> np.ndarray:
    """Return one image's logits, [10]."""
    try:
        answer = np.asarray(infer(image))
    except Exception as error:  # runtimes raise anything
        raise Failed("run_failed", first_line(error)) from error
    if answer.shape != single(tensor) or answer.dtype != tensor["dtype"]:
        told, promised = f"{answer.dtype} {list(answer.shape)}", f"{tensor['dtype']} {list(single(tensor))}"
        raise Failed("run_failed", f"the output is {told}, the sidecar says {promised}")
    if tensor["scale"] is None:
        return answer[0]
    return (answer[0].astype(np.float32) - tensor["zero_point"]) * tensor["scale"]


def answer(infer, images: np.ndarray, answers: np.ndarray, sidecar: dict, turns: Turns | None) -> None:
    """Fill `answers` [N,10] with the logits of uint8 images [N,28,28]."""
    turn_ends = 0.0
    for i, image in enumerate(images):
        if turns and time.monotonic() > turn_ends:
            turns("share")
            turn_ends = time.monotonic() + TURN_S
        answers[i] = run(infer, native(image, sidecar["inputs"][0]), sidecar["outputs"][0])


def time_warm(infer, images: list, options: argparse.Namespace, row: dict, turns: Turns | None) -> None:
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
            row["notes"].append(f"{len(samples)} latency samples in {options.latency_s:g} s, not {SAMPLES}")
            break
    busy = (time.process_time_ns() - cpu) / (time.perf_counter_ns() - wall)
    row |= {"latencies_ns": samples, "cpu_per_wall": round(busy, 3)}
    if busy > BUSY * options.threads:
        row["notes"].append(f"more than {options.threads} thread was at work: {busy:.2f} s of CPU per second")
    if busy < STARVED:
        row["notes"].append(f"timed on a busy machine: it had {busy:.0%} of a core")


def images_to_judge(available: int, latencies_ns: list, options: argparse.Namespace, row: dict) -> int:
    count = min(available, options.images or available)
    if is_slow(latencies_ns) and count > SLOW_IMAGES:
        taken = f"an inference takes {np.median(latencies_ns) / 1e6:.1f} ms"
        row["notes"].append(f"judged on the first {SLOW_IMAGES:,} images: {taken}")
        return SLOW_IMAGES
    return count


def is_slow(latencies_ns: list) -> bool:
    return bool(latencies_ns) and float(np.median(latencies_ns)) > SLOW_NS


def judge(answers: np.ndarray, labels: np.ndarray, expected: np.ndarray, row: dict) -> None:
    """Count right and equal answers, [N,10] each; `lost` and `gained` pair them with the float source's.

    `flips` holds the first FLIPS images that are answered otherwise than by the source.
    """
    finite = np.isfinite(answers).all(1)
    ours = choices(answers)
    theirs = expected.argmax(1)
    right, source_right = ours == labels, theirs == labels
    total, agree = len(labels), int((ours == theirs).sum())
    error = float(np.abs(answers - expected).max()) if finite.all() else None
    row |= {
        "total": total,
        "correct": int(right.sum()),
        "agree": agree,
        "lost": int((source_right & ~right).sum()),
        "gained": int((right & ~source_right).sum()),
        "max_abs_error": error,
        "ece": calibration_error(answers, labels) if finite.all() else None,
        "source_ece": calibration_error(expected, labels),
        "flips": [
            {"index": int(i), "label": int(labels[i]), "ours": int(ours[i]), "theirs": int(theirs[i]),
             "our_margin": margin(answers[i]) if finite[i] else None, "their_margin": margin(expected[i])}
            for i in np.flatnonzero(ours != theirs)[:FLIPS]
        ],
    }  # fmt: skip
    counted = f"{agree:,} of {total:,} answers agree with the float source's, {row['correct']:,} are right"
    span = float(expected.max() - expected.min())
    if not finite.all():
        row |= {"outcome": "mismatch", "reason": f"{(~finite).sum():,} answers are not finite; {counted}"}
    elif agree < SANE_AGREEMENT * total:
        row |= {"outcome": "mismatch", "reason": f"{counted}; largest logit error {error:.4g}"}
    elif error > span:
        reason = f"a logit is off by {error:.4g}, more than all of the float source's span ({span:.4g}); {counted}"
        row |= {"outcome": "mismatch", "reason": reason}


def judge_digits(answers: np.ndarray, labels: np.ndarray, expected: np.ndarray, row: dict) -> None:
    """Count right and equal answers on images unlike those of the training."""
    ours, theirs = choices(answers), expected.argmax(1)
    row["digits"] = {
        "total": len(labels),
        "correct": int((ours == labels).sum()),
        "source_correct": int((theirs == labels).sum()),
        "agree": int((ours == theirs).sum()),
    }


def choices(answers: np.ndarray) -> np.ndarray:
    """Return the answers that logits [N,10] give; -1 where one is not a number, which is no answer."""
    return np.where(np.isfinite(answers).all(1), answers.argmax(1), -1)


def margin(logits: np.ndarray) -> float:
    """Return the lead of the first answer over the second, from logits [10]."""
    second, first = np.sort(logits)[-2:]
    return round(float(first - second), 4)


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error of logits [N,10]: how far confidence is from the share of right answers.

    Bins of equal width over the softmax of the answer, as in Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    odds = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    confidence = odds.max(1) / odds.sum(1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - (logits.argmax(1) == labels))
    return float(np.abs(gaps).sum() / len(labels))


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

    def read(self, row: dict) -> None:
        row["baseline_rss_bytes"] = self.baseline
        if self.baseline is not None:
            row["peak_rss_bytes"] = self._status("VmHWM")
            return
        try:
            import resource
        except ImportError:  # Windows
            row["peak_rss_bytes"] = None
            row["notes"].append("this system does not tell the peak of resident memory")
            return
        unit = 1 if sys.platform == "darwin" else 1024
        row["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        row["notes"].append("the peak of resident memory is that of the whole process, without a baseline")

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
