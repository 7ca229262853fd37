"""The real worker in real processes, alone or forked from one that has started the runtime, on runtimes that misbehave."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_tests import devices
from device_tests.contract import DESKTOP
from device_tests.onboard import pixels, sampling, surroundings, worker
from device_tests.results import judging
from device_tests.results.measurement import Counts
from device_tests.transport import starting
from models import reference
from models.reference import EvaluationSet
from tests import programs
from tests.device_tests.conftest import ID, IMAGES


@pytest.fixture(autouse=True)
def _all_samples(changed_worker):
    """Runtimes here count their calls, so that there must be as many samples however busy the machine is."""
    changed_worker("sampling", "NARROW = 0.02", "NARROW = 0.0")


def test_an_honest_runtime_is_measured_completely(folders):
    row = folders.row(folders.runtime("honest"))
    assert (row.outcome, row.reason, row.threads) == ("ok", "", 1)
    assert (row.total, row.agree, row.correct, row.lost, row.gained) == (IMAGES, IMAGES, IMAGES - 10, 0, 0)
    assert row.max_abs_error < 1e-3
    assert len(row.latencies_ns) == sampling.SAMPLES
    assert min(*row.latencies_ns, row.load_ns, row.first_ns) > 0
    assert row.environment.runtime == {"numpy": np.__version__}


@pytest.mark.skipif(not surroundings.Memory.RESET.exists(), reason="the kernel's peak is Linux'")
def test_memory_is_what_the_artifact_adds(folders):
    eats = "kept = []\ndef answer(logits):\n    kept or kept.append(np.ones(5_000_000))\n    return logits"
    row = folders.row(folders.runtime("eats", eats))
    assert 40e6 < row.peak_over_runtime_bytes < 60e6


def test_a_bound_of_memory_that_is_there_already_is_never_raised():
    code = """
import resource
from device_tests.onboard import surroundings
resource.setrlimit(resource.RLIMIT_AS, (surroundings.MEMORY_BYTES, surroundings.MEMORY_BYTES))
surroundings.bound_memory()  # a forked process that has grown would ask for more than its parent had
assert resource.getrlimit(resource.RLIMIT_AS) == (surroundings.MEMORY_BYTES,) * 2
"""
    subprocess.run([sys.executable, "-c", code], check=True)


LOAD, ANSWER, START = "def load(path, threads):\n    ", "def answer(logits):\n    ", "def start(threads):\n    "

MISBEHAVIOURS = {
    "prints": (ANSWER + "calls == 1 and os.write(1, b'{} rubbish'), print('x')\n    return logits", "ok", ""),
    "raises_in_load": (LOAD + "raise ValueError('bad magic')", "load_failed", "ValueError: bad magic"),
    "refuses": (LOAD + "raise ValueError('does not know the op X')", "unsupported", "the op X"),
    "raises_in_start": (
        START + "raise ImportError('no lib')",
        "load_failed",
        "the runtime does not start: ImportError: no lib",
    ),
    "raises_at_first": (ANSWER + "raise RuntimeError('no kernel')", "run_failed", "RuntimeError: no kernel"),
    "raises_later": (ANSWER + "assert calls < 90, 'worn out'\n    return logits", "run_failed", "worn out"),
    "crashes_in_load": (LOAD + "os.kill(os.getpid(), signal.SIGSEGV)", "run_failed", "SIGSEGV while loading"),
    "crashes_later": (ANSWER + "calls > 1200 and os.abort()\n    return logits", "run_failed", "SIGABRT while judging"),
    "exits": (LOAD + "os._exit(3)", "run_failed", "ended with exit code 3"),
    "not_a_number": (ANSWER + "return logits * np.float32('nan')", "mismatch", "200 answers are not finite"),
    "garbage": (ANSWER + "return np.roll(logits, 1)", "mismatch", "0 of 200 answers agree"),
    "explodes": (ANSWER + "logits[0, logits.argmin()] = -1e7\n    return logits", "mismatch", "is off by 1e+07"),
    "shape": (ANSWER + "return logits[:, :9]", "run_failed", "the output is float32 [1, 9]"),
    "dtype": (ANSWER + "return logits.astype(np.float64)", "run_failed", "the output is float64 [1, 10]"),
    "speaks_for_the_worker": (
        LOAD + "[os.write(fd, b'rubbish\\n') for fd in range(3, 30) if os.path.exists(f'/proc/self/fd/{fd}')"
        " and os.readlink(f'/proc/self/fd/{fd}').startswith('pipe:')]",
        "run_failed",
        "said something that is no answer while",
    ),
    "wants_all_memory": (LOAD + "np.ones(10**12)", "load_failed", "Unable to allocate"),
    "threads": (START + "return 4", "run_failed", "asked for 1 threads, the runtime uses 4"),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_misbehaviour_becomes_a_row(folders, name):
    code, outcome, reason = MISBEHAVIOURS[name]
    row = folders.row(folders.runtime(name, code))
    assert row.outcome == outcome, row
    assert reason in row.reason
    assert bool(row.log) <= (outcome != "ok")


def test_a_hang_is_killed_with_its_children_and_becomes_a_row(folders):
    hangs = LOAD + "print(subprocess.Popen(['sleep', '600']).pid, flush=True)\n    time.sleep(600)"
    row = folders.row(folders.runtime("hangs", hangs), timeout_s=2)
    assert (row.outcome, row.reason) == ("timed_out", "no answer in 2 s while loading and timing")
    assert programs.ends(int(row.log[-1]))


def test_a_worker_that_nobody_listens_to_any_more_ends_whatever_its_runtime_does(folders):
    folders.runtime("hangs", LOAD + "time.sleep(600)")
    process = subprocess.Popen([*_command(folders, "hangs"), "--turns"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert b"alone" in process.stdout.readline()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(timeout=60) == worker.ABANDONED


def test_taking_times_for_long_is_no_hang(folders, changed_worker):
    """The worker speaks in between, so that its silence may be bounded more tightly than the sampling."""
    changed_worker("worker", "ALIVE_S = 10.0", "ALIVE_S = 0.2")
    slow = ANSWER + "calls < 1200 and time.sleep(0.004)\n    return logits"
    row = folders.row(folders.runtime("slow", slow), timeout_s=3)
    assert row.outcome == "ok"
    assert sum(row.latencies_ns) > 4e9


def _command(folders, runtime: str) -> list[str]:
    artifacts = folders.bench.artifacts
    options = {"runtime": folders.runtimes / f"{runtime}.py", "artifact": artifacts / f"{ID}.pt", "images": 50,
               "sidecar": artifacts / f"{ID}.json", "reference": artifacts / "torch_cnn_small.reference.npz"}  # fmt: skip
    return [sys.executable, worker.__file__, *(str(p) for name, value in options.items() for p in (f"--{name}", value))]


@pytest.mark.parametrize("latency_s", [0, 10])
def test_without_turns_the_worker_prints_exactly_one_line_and_takes_times_only_if_it_has_time(folders, latency_s):
    """As on a device, where nobody answers."""
    folders.runtime("prints", MISBEHAVIOURS["prints"][0])
    command = [*_command(folders, "prints"), "--latency-s", str(latency_s)]
    (line,) = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    row = json.loads(line)
    assert (row["outcome"], len(judging.unpack(row["logits"], 10, 50))) == ("ok", 50)
    assert bool(row["latencies_ns"]) == bool(latency_s)


def test_a_slow_cell_is_judged_on_as_many_images_as_its_agreement_needs(folders, changed_worker, monkeypatch):
    changed_worker("sampling", "SLOW_NS = 1_000_000", "SLOW_NS = 0")
    changed_worker("sampling", "LOOK, LOOK_QUICK = 1_000, 500", "LOOK, LOOK_QUICK = 50, 50")
    monkeypatch.setattr(judging, "is_enough", lambda logits, reference_set: len(logits) >= 100)
    row = folders.row(folders.runtime("honest"))
    assert (row.outcome, row.total, row.agree) == ("ok", 100, 100)
    assert row.notes[-1] == "judged on the first 100 images: it is slow, and they show its agreement narrowly"
    monkeypatch.setattr(judging, "is_enough", lambda logits, reference_set: False)
    assert folders.row(folders.runtime("honest"), force=True).total == IMAGES


def side(shape: list[int], **more) -> dict:
    return {"shape": shape, "dtype": "float32", "scale": None} | more


def sums(batches: list[int], wrong: float = 0.0):
    """Return a runtime that answers an image with its sum and its negative, and notes the sizes of its batches."""

    def infer(images: np.ndarray) -> np.ndarray:
        batches.append(len(images))
        total = images.reshape(len(images), -1).sum(1) + wrong * (len(images) > 1)
        return np.stack([total, -total], 1).astype(np.float32)

    return infer


def test_an_artifact_for_several_images_gets_as_many_at_once_and_a_quantized_output_is_dequantized():
    sidecar = {"inputs": [side([4, 2, 3, 1])], "outputs": [side([4, 2])], "layout": "hwc"}
    images = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
    logits, batches = np.zeros((10, 2), np.float32), []
    worker.fill_logits(sums(batches), images, logits, sidecar, None)
    assert batches == [4, 4, 4]
    assert np.array_equal(logits[:, 0], images.sum((1, 2)))
    alone = pixels.native(images[3], sidecar["inputs"][0], "hwc")
    assert alone.shape == (4, 2, 3, 1)
    assert worker.run(sums(batches), alone, sidecar["outputs"][0]).tolist() == [images[3].sum(), -images[3].sum()]

    tensor = side([1, 10], dtype="uint8", scale=0.5, zero_point=100)
    answer = np.arange(95, 105, dtype=np.uint8)[None]
    assert worker.run(lambda image: answer, None, tensor).tolist() == [(i - 5) / 2 for i in range(10)]


@pytest.mark.parametrize(("wrong", "notes"), [(0.0, 0), (50.0, 1)])
def test_an_artifact_for_any_batch_is_asked_several_images_at_once(wrong, notes):
    sidecar = {"inputs": [side([-1, 2, 3, 1])], "outputs": [side([-1, 2])], "layout": "hwc"}
    images = np.arange(180, dtype=np.float32).reshape(30, 2, 3)
    logits, batches, reply = np.zeros((30, 2), np.float32), [], worker.Reply()
    worker.fill_logits(sums(batches), images, logits, sidecar, None)
    assert set(batches) == {1}
    worker.compare_with_batch(sums(batches, wrong), images[: worker.TOGETHER], logits, sidecar, reply)
    assert batches[-1] == worker.TOGETHER
    assert len(reply.notes) == notes
    with pytest.raises(worker.Failed, match="differ by up to 1e"):
        worker.compare_with_batch(sums(batches, 1e4), images[: worker.TOGETHER], logits, sidecar, reply)


def test_other_sets_are_judged_beside_the_first(folders):
    file = reference.path(folders.bench.artifacts, "torch_cnn_small")
    reference_set = reference.load(file)
    labels = reference_set.logits.argmax(1).astype(np.uint8)
    labels[:3] = (labels[:3] + 1) % 10
    digits = EvaluationSet(images=reference_set.images[:50], labels=labels[:50], logits=reference_set.logits[:50])
    reference.save(replace(reference_set, others={"digits": digits}), file)
    once_wrong = ANSWER + "if calls > 1300: logits = np.roll(logits, 1)\n    return logits"
    honest, wrong = (folders.row(folders.runtime(*r)) for r in (("honest",), ("wrong", once_wrong)))
    assert honest.sets == {"digits": Counts(total=50, correct=47, source_correct=47, agree=50)}
    assert (honest.sets["digits"].top1, honest.sets["digits"].agreement) == (0.94, 1.0)
    assert (wrong.outcome, wrong.agree) == ("ok", IMAGES)
    assert wrong.sets["digits"].agree < 50


forked = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
STARTS = "def start(threads):\n    with open({!r}, 'a') as file:\n        file.write('x')\n    {}\n    return threads"


def starts(folder: Path, more: str = "pass") -> tuple[str, Callable[[], int]]:
    """Return the code of a runtime that counts its starts, and a function that gives their number."""
    file = folder / "starts"
    return STARTS.format(str(file), more), lambda: len(file.read_text())


@forked
def test_a_runtime_is_started_once_for_several_cells_and_answers_the_same(folders, tmp_path, monkeypatch):
    code, count = starts(tmp_path)
    runtime = folders.runtime("counted", code)
    rows = [folders.row(runtime, force=True) for _ in range(3)]
    assert count() == 1
    folders.runtime("counted", code + "\n# another adapter is another runtime")
    rows.append(folders.row(runtime))
    assert count() == 2
    monkeypatch.setattr(starting.Starter, "_source", lambda self, command, timeout_s: None)  # none to be forked from
    alone = folders.row(runtime, force=True)
    assert count() == 3
    for row in rows:
        assert (row.outcome, row.agree, row.max_abs_error) == ("ok", alone.agree, alone.max_abs_error)
        assert abs(row.baseline_rss_bytes - alone.baseline_rss_bytes) < 4e6
        grown, alone_grown = (r.peak_rss_bytes - r.baseline_rss_bytes for r in (row, alone))
        assert abs(grown - alone_grown) < 2e6


@forked
def test_a_crash_costs_one_worker_and_what_they_are_forked_from_ends_with_whoever_started_it(folders, tmp_path):
    code, count = starts(tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))")
    crash = f"""
def load(path, threads):
    if not os.path.exists({str(tmp_path / "crashed")!r}):
        os.mkdir({str(tmp_path / "crashed")!r})
        os.abort()
    return lambda native: None
"""
    runtime = folders.runtime("crashing", code + crash)
    row = folders.row(runtime)
    assert (row.outcome, row.reason) == ("run_failed", "killed by SIGABRT while loading and timing")
    assert folders.row(runtime).reason.startswith("the output is")  # it ran, and gave no logits
    assert count() == 1
    devices.device(DESKTOP).starter.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@forked
def test_a_runtime_with_threads_of_its_own_is_not_forked(folders, tmp_path):
    sleeps = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    code, count = starts(tmp_path, f"import threading; {sleeps}")
    runtime = folders.runtime("threaded", code)
    assert [folders.row(runtime, force=True).outcome for _ in range(2)] == ["ok", "ok"]
    assert count() == 3  # the one that cannot be forked from, and each worker
