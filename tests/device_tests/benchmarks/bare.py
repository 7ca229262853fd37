"""Times one artifact by our loop, by the loop that anybody would write and, on PyTorch, by its own tool, in turns.

Stands alone in a runtime's environment, with probe.py and worker.py; prints one line of JSON. All three call the very
same loaded network: what our function of one image holds inside is what the bare loop works with.
"""

import gc
import inspect
import itertools
import json
import math
import os
import sys
import time
from pathlib import Path

PROBE = Path(__file__).resolve().parents[3] / "device_tests" / "onboard" / "probe.py"
BLOCK_NS = 3e6  # about how long each way works at a time: short, so that what disturbs one disturbs the next as well
ROUNDS, TOOL_ROUNDS = 2_000, 300
TIMER_SHARE = 1_000  # as in an interleaved run: a sample takes so many times what the timer takes

# By runtime: what a person writes who times `batch`, with the names of the runtime's own objects.
BARE = {
    "executorch": "module.forward((torch.from_numpy(native),))[0].numpy()",
    "litert": "interpreter.set_tensor(image, native); interpreter.invoke(); interpreter.get_tensor(logits)",
    "onnxruntime": "session.run(logits, {image: native})[0]",
    "tflite_runtime": "interpreter.set_tensor(image, native); interpreter.invoke(); interpreter.get_tensor(logits)",
    "torch": "network(torch.from_numpy(native)).numpy()",
}
LOOP = "def bare(batch, {names}):\n    for native in batch:\n        {body}\n"


def main() -> None:
    answer = os.fdopen(os.dup(1), "w", buffering=1)  # libraries print what they like to fd 1
    os.dup2(2, 1)
    sys.path.insert(0, str(PROBE.parent))
    import probe

    options, worker = probe.parse(), probe.beside("worker")
    reply = worker.Reply()
    infer, images, facts = probe.load(worker, options, reply)
    inferences, name = max(1, int(BLOCK_NS / inference_ns(infer, images))), options.runtime.stem
    each = max(1, math.ceil(TIMER_SHARE * facts["timer_ns"] / inference_ns(infer, images)))
    both = ours(probe, infer, images, inferences, each), bare(probe, infer, images, inferences, each, name)
    taken = {"bare": turns(*both, ROUNDS)}
    if name == "torch":
        taken["torch.utils.benchmark"] = turns(*with_torch_benchmark(probe, infer, images), TOOL_ROUNDS)
    print(json.dumps({"per_inference_ns": taken, "environment": reply.environment}), file=answer)


def turns(mine, theirs, rounds: int) -> list[list[float]]:
    """Return what both give, [2, rounds]; neither is always the first."""
    mine(), theirs()
    gc.disable()
    taken = [[], []]
    for i in range(rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            taken[which].append((mine, theirs)[which]())
    gc.enable()
    return taken


def inference_ns(infer, images: list) -> float:
    for image in images * 8:
        infer(image)
    began = time.perf_counter_ns()
    for image in images * 4:
        infer(image)
    return (time.perf_counter_ns() - began) / 4 / len(images)


def ours(probe, infer, images: list, inferences: int, each: int):
    """Return a function that times a block as the interleaved run does, in samples of `each`: the mean, in ns per one."""
    samples = max(1, inferences // each)
    return lambda: sum(probe.sample(infer, images, samples=samples, inferences=each)) / samples / each


def bare(probe, infer, images: list, inferences: int, each: int, runtime: str):
    """Return a function that times a block in one go, with nothing of ours inside: ns per inference.

    What precedes it is the same as before samples of `each`.
    """
    variables = inspect.getclosurevars(infer)
    names = {**variables.nonlocals, **variables.globals}
    space: dict = {}
    exec(LOOP.format(names=", ".join(names), body=BARE[runtime]), space)
    batch = list(itertools.islice(itertools.cycle(images), inferences))

    def take() -> float:
        probe.warm(infer, batch[:each])
        began = time.perf_counter_ns()
        space["bare"](batch, **names)
        return (time.perf_counter_ns() - began) / len(batch)

    return take


def with_torch_benchmark(probe, infer, images: list):
    """Return functions that time a block by our loop and by torch.utils.benchmark: the mean, in ns per inference.

    The block is as long as that tool chooses, for on a busy machine a longer one is disturbed more often.
    """
    from torch.utils.benchmark import Timer

    timer = Timer("infer(image)", globals={"infer": infer, "image": images[0]}, num_threads=1)
    number = timer.blocked_autorange().number_per_run
    return (
        lambda: probe.sample(infer, images, samples=1, inferences=number)[0] / number,
        lambda: timer.timeit(number).median * 1e9,
    )


if __name__ == "__main__":
    main()
