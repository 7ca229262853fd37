"""Loads one artifact and runs it on request; stands alone with worker.py beside it.

It first prints a line of JSON on stdout: that it is ready, or why not. Then each line of JSON on stdin asks for
`samples` of `inferences` each, and the reply holds their `ns`. `slowdown` is a share of its own time that a sample
wastes, for a check of the statistics. With `--count` it marks its inferences for the counter of instructions, and ends.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import json
import os
import sys
import time
import traceback
from pathlib import Path

import numpy as np

MARK = 0x0ED6E815  # closing this descriptor fails, and instructions.c sees the call
WARM_UP, COUNTED = 32, 9  # inferences of --count; CPython settles within 20


def main() -> None:
    stdout = os.fdopen(os.dup(1), "w", buffering=1)  # libraries print what they like to fd 1
    os.dup2(2, 1)
    options = parse()
    worker = beside("worker")
    reply, facts = worker.Reply(), {}
    if not options.count:  # the counter needs a process of one thread
        requests = worker.Turns(stdout).lines
    try:
        infer, images, facts = load(worker, options, reply)
        if options.count:
            count(infer, images[0])
    except worker.Failed as failure:
        traceback.print_exc()
        reply.outcome, reply.reason = failure.outcome, failure.reason
    print(json.dumps({**vars(reply), **facts}), file=stdout)
    if reply.outcome == "ok" and not options.count:
        gc.disable()  # a collection would disturb some samples; reference counts free the outputs of inferences
        while True:  # until it is killed or stdin ends
            print(json.dumps({"ns": sample(infer, images, **json.loads(requests.get()))}), file=stdout)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="a file of runtimes/")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--sidecar", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", action="store_true", help="mark inferences for the counter of instructions")
    return parser.parse_args()


def beside(name: str):
    """Import a file of this file's folder, which is no package on a device."""
    spec = importlib.util.spec_from_file_location(f"edgewise_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their module
    spec.loader.exec_module(module)
    return module


def load(worker, options: argparse.Namespace, reply) -> tuple:
    """Return the inference, the sidecar's golden images, and facts to print.

    `golden` holds how many golden images give the class that the exporter's runtime gave, and how many there are;
    `timer_ns` is the timer's own share of a sample.
    """
    runtime = worker.start(options, reply)
    sidecar = json.loads(options.sidecar.read_text())
    target = sidecar["outputs"][0]
    originals = [worker.pixels.golden_image(golden, sidecar) for golden in sidecar["golden"]]
    images = [worker.native_image(image, sidecar) for image in originals]
    infer = worker.load(options, runtime, reply)
    equal = sum(
        int(worker.run(infer, image, target).argmax() == np.argmax(golden["logits"]))
        for image, golden in zip(images, sidecar["golden"])  # noqa: B905 - devices have older Pythons
    )
    facts = {"golden": [equal, len(images)]}
    if equal < len(images):
        reply.notes.append(f"{equal} of {len(images)} golden images are answered as in the sidecar")
    if not options.count:  # nothing that differs from run to run may precede the counting
        facts["timer_ns"] = timer_ns()
    return infer, images, facts


def sample(infer, images: list, *, samples: int, inferences: int, slowdown: float = 0.0) -> list[int]:
    """Return the duration of each sample in nanoseconds; the caches are warm when the first begins."""
    now = time.perf_counter_ns
    batch = list(itertools.islice(itertools.cycle(images), inferences))
    warm(infer, batch)
    taken = []
    for _ in range(samples):
        began = now()
        for image in batch:
            infer(image)
        if slowdown:
            ends = now()
            ends += (ends - began) * slowdown
            while now() < ends:
                pass
        taken.append(now() - began)
    return taken


def warm(infer, batch: list) -> None:
    for image in batch[:8] * 2:
        infer(image)


def timer_ns() -> float:
    """Return the duration of an empty sample: the timer's own share of each."""
    return float(np.median(sample(None, [], samples=1_001, inferences=0)))


def count(infer, image: np.ndarray) -> None:
    """Mark inferences, and then as many empty calls, which show what the marking itself takes."""
    gc.disable()
    for function in (infer, lambda image: None):
        for _ in range(WARM_UP + COUNTED):
            mark()
            function(image)
        mark()


def mark() -> None:
    try:
        os.close(MARK)
    except OSError:
        return
    raise AssertionError("the mark is a descriptor that nobody has open")


if __name__ == "__main__":
    main()
