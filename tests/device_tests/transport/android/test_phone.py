"""What runs over adb, with the real client: real runtimes, a real phone's conditions, and every way in which a phone fails."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from device_tests.contract import Job
from device_tests.devices.adb import HOME, Phone, device
from device_tests.results import judging
from device_tests.schedule import Closed, Turns
from device_tests.transport.android import client, conditions, machine
from device_tests.transport.android.client import Client
from export import artifact as artifacts
from models import reference
from models.common.environments import ROOT
from models.common.errors import EdgewiseError, EnvironmentMissing, StorageError, UsageError
from tests import programs
from tests.device_tests.conftest import run_module

pytestmark = pytest.mark.slow
ARTIFACTS = Path(__file__).parents[4] / "artifacts"
MODEL = "torch_cnn_small"
ASLEEP = """echo '{"turn": "share"}'; exec sleep 1000"""
MASK = """echo '{"outcome": "ok", "reason": "", "notes": [], "environment": {"python": "'$(taskset -p $$ | sed 's/.*: //')'"}}'"""


@pytest.fixture(scope="module")
def real(started):
    """The machine with the real bundle, which is pushed once."""
    phone = device(f"android:{started.serial}")
    yield phone
    phone.clean()


@pytest.mark.parametrize(
    ("runtime", "kind"), [("litert", "tflite-int8"), ("onnxruntime", "onnx-float32"), ("executorch", "executorch-int8")]
)
def test_the_published_wheels_run_where_only_the_kernel_is(real, runtime, kind):
    sidecar = artifacts.sidecar_path(ARTIFACTS, f"{MODEL}-{kind}")
    if not sidecar.exists():
        programs.absent("needs artifacts: nox -s export")
    artifact = artifacts.read(sidecar)
    file, options = reference.path(ARTIFACTS, MODEL), {"timeout_s": 300, "images": 50, "latency_s": 0}
    job = Job(runtime=runtime, artifact=ARTIFACTS / artifact.file, sidecar=sidecar, reference=file, **options)
    row = real.run(job, Turns(1))
    assert (row["outcome"], row["reason"]) == ("ok", "")
    judged = judging.judge(judging.unpack(row["logits"], 10, 50), reference.load(file))
    assert judged.agree == judged.total == 50
    assert row["peak_rss_bytes"] > row["baseline_rss_bytes"] > 0
    assert not row["latencies_ns"]  # an emulated device has none to tell
    facts = {"kind": "Android-shaped machine", "android": "none", "abi": "arm64-v8a", "machine": "aarch64"}
    assert facts.items() <= {name: row["environment"][name] for name in facts}.items()


def take_for_a_phone(machine: Phone) -> Phone:
    assert machine.emulated
    vars(machine)["_properties"] = machine.client.properties() | {"ro.kernel.qemu": "0"}
    assert not machine.emulated
    return machine


def test_a_real_phone_is_measured_on_the_chosen_cores_and_says_in_what_state(phone, job, monkeypatch):
    row = take_for_a_phone(phone()).run(job, Turns(1))  # the machine has neither clocks nor a battery to tell of
    assert row["environment"]["governor"] == row["environment"]["screen"] == "not told"
    assert row["notes"] == ["the phone does not tell its cores' clocks: timed on whichever core it chose"]
    state = {"cpu0.cpuinfo_max_freq": "2000", "cpu1.cpuinfo_max_freq": "1000", "thermal_status": "0"}
    monkeypatch.setattr(conditions, "read", lambda client: state)
    for size, mask, core in (("big", "1", "cpu0"), ("little", "2", "cpu1")):
        row = take_for_a_phone(phone(MASK, core=size)).run(job, Turns(1))
        assert (row["environment"]["python"], row["environment"]["cores"], row["notes"]) == (mask, core, [])


@contextmanager
def meanwhile(phone: Phone, act: Callable[[], object]) -> Iterator[None]:
    """Do something to a phone once its worker, which is ASLEEP, has begun."""

    def wait_and_act() -> None:
        deadline = time.monotonic() + 60
        while "sleep 1000" not in phone.client.shell("ps"):
            assert time.monotonic() < deadline, "the worker never began"
        act()

    with ThreadPoolExecutor() as pool:
        acted = pool.submit(wait_and_act)
        yield
        acted.result()


@pytest.mark.needs("adb")
def test_without_any_device_it_says_what_to_connect():
    with client.server(), pytest.raises(EnvironmentMissing, match="sees no device, nor any other. Connect a phone"):
        client.choose("")


def test_one_device_needs_no_serial_and_one_that_is_not_there_is_told_with_those_that_are(started):
    assert device("android:").name == f"android:{started.serial}"
    with pytest.raises(EnvironmentMissing, match=f"no device R58M. It sees: .*{started.serial} \\(device\\)"):
        client.choose("R58M")
    with pytest.raises(UsageError, match="android:SERIAL\\+big or android:SERIAL\\+little"):
        device("android:R58M+medium")


@pytest.mark.parametrize(
    ("which", "state", "reason"),
    [(0, "unauthorized", "Unlock it and accept"), (1, "offline", "It is connected but does not answer")],
)
def test_a_device_that_lets_nobody_in_says_why_and_of_two_one_must_be_named(started, which, state, reason):
    serial = started.moods[which]
    subprocess.run([client.program(), "connect", serial], capture_output=True, timeout=30)
    try:
        with pytest.raises(EnvironmentMissing, match="several devices.*--device android:SERIAL") as raised:
            device("android:")
        seen = set(re.findall(r"\S+ \(\w+\)", str(raised.value)))
        assert {f"{started.serial} (device)", f"{serial} ({state})"} <= seen
        command = ("run", "--device", f"android:{serial}", "--runtime", "litert", "--artifacts", "artifacts")
        output = run_module("device_tests", *command, code=EnvironmentMissing.exit_code)
        assert f"{serial} is {state}. {reason}" in " ".join(output.split())
    finally:
        subprocess.run([client.program(), "disconnect", serial], capture_output=True, timeout=30, check=True)


def test_a_good_run_leaves_the_bundle_alone_which_is_not_pushed_again_and_clean_removes_everything(phone, job):
    good = phone()
    outside = good.client.shell("for folder in /lib /usr /etc /bin; do [ ! -e $folder ] || echo $folder; done; id -u")
    assert outside.split() == ["2000"]  # there is no C library but the bundle's
    row = good.run(job, Turns(1))
    assert (row["outcome"], row["environment"]["kind"]) == ("ok", "Android-shaped machine")
    assert row["environment"]["abi"] == "arm64-v8a"
    left = good.client.shell(f"cd {HOME} && find . -type f").split()
    bundled = [f"./bundles/arm64-test/{name}" for name in ("blob", "lib/ld-linux-aarch64.so.1")]
    assert sorted(left) == [*bundled, "./references/a.npz"]
    times = f"stat -c %y {HOME}/bundles/arm64-test/blob {HOME}/references/a.npz"
    before = good.client.shell(times)
    again = phone()
    assert again.run(job, Turns(1))["outcome"] == "ok"
    assert again.client.shell(times) == before
    again.clean()
    assert again.client.shell("ls -A /data/local/tmp").strip() == ""


def test_a_bundle_that_was_changed_there_is_pushed_again_and_a_stale_one_is_replaced(phone, job):
    phone().run(job, Turns(1))
    changed = phone("exit 3")
    changed.client.shell(f"echo exit 4 > {HOME}/bundles/arm64-test/lib/ld-linux-aarch64.so.1; rm {HOME}/bundles/*/blob")
    row = changed.run(job, Turns(1))
    assert (row["outcome"], row["reason"]) == ("run_failed", "ended with exit code 3 while starting")
    newer = phone(name="arm64-newer")
    newer.run(job, Turns(1))
    assert newer.client.shell(f"ls {HOME}/bundles").split() == ["arm64-newer"]


def test_full_storage_is_an_error_that_says_how_much_is_missing(phone, job):
    full = phone(blob=bytes(20_000_000))
    full.client.shell(
        "free=$(df -k /data/local/tmp | tail -n 1 | awk '{print $4}')\n"
        "dd if=/dev/zero of=/data/local/tmp/fill bs=1048576 count=$((free / 1024 - 5))"
    )
    try:
        with pytest.raises(StorageError, match="has no room for arm64-test, 20 MB; [45] MB are free.* --clean"):
            full.run(job, Turns(1))
        assert full.client.shell(f"ls {HOME}/bundles").split() == []  # nothing is left half-pushed
    finally:
        full.client.shell("rm /data/local/tmp/fill")


@pytest.mark.parametrize(
    ("script", "end", "log"),
    [
        ("echo dying >&2; kill -SEGV $$", ("run_failed", "killed by SIGSEGV while starting"), ["dying"]),
        ("echo hello", ("run_failed", "said something that is no answer while starting: 'hello'"), []),
        ("trap '' HUP\nexec sleep 2000", ("timed_out", "no answer in 3 s while starting"), []),
    ],
    ids=["dies", "prints noise", "hangs and ignores the hang-up"],
)
def test_a_worker_that_misbehaves_is_a_row_and_does_not_outlive_it(phone, job, script, end, log):
    there = phone(script)
    row = there.run(replace(job, timeout_s=3), Turns(1))
    assert (row["outcome"], row["reason"]) == end
    assert {*log} <= {*row["log"]}
    assert "sleep 2000" not in there.client.shell("ps")
    assert there.client.shell(f"ls {HOME}/jobs").split() == []


def test_a_program_of_another_abi_is_a_row_with_what_the_device_said(phone, job):
    wrong = phone()
    vars(wrong)["_bundle"].path.joinpath("lib", "ld-linux-aarch64.so.1").write_bytes(Path("/bin/true").read_bytes())
    row = wrong.run(job, Turns(1))
    # busybox tries it as a script first
    assert re.fullmatch("run_failed: ended with exit code (2|126) while starting", f"{row['outcome']}: {row['reason']}")
    assert row["log"]


def test_an_interrupted_run_leaves_no_worker_there(phone, job):
    hung, turns = phone(ASLEEP), Turns(1)

    def interrupt() -> None:
        turns.close()
        hung.stop()

    with meanwhile(hung, interrupt), pytest.raises(Closed):
        hung.run(job, turns)
    assert "sleep 1000" not in hung.client.shell("ps")
    assert hung.client.shell(f"ls {HOME}/jobs").split() == []


def test_a_device_lost_in_the_middle_costs_its_cell_and_the_next_say_that_it_is_gone(phone, job):
    with machine.running(port=client.free_port()) as other:
        lost = phone(ASLEEP, serial=other.serial)
        with meanwhile(lost, other.process.kill):
            row = lost.run(job, Turns(1))
        assert (row["outcome"], row["reason"]) == ("run_failed", f"{lost.name} was lost while judging")
        with pytest.raises(EnvironmentMissing, match="no device|offline"):
            lost.require("litert")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "kill", "kill -9"])
def test_nothing_of_the_machine_outlives_the_program_that_started_it(started, how):
    command = (sys.executable, "-m", "device_tests", "android", "start", "--port", str(client.free_port()))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        line = program.stdout.readline()
        assert "Up after" in line, line
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        names = sorted(Path(f"/proc/{child}/comm").read_text().strip() for child in children)
        assert names == ["adb", "qemu-system-aar"]
        program.send_signal(how)
        rest = program.stdout.read()
        assert program.wait(timeout=20) == (-9 if how == signal.SIGKILL else 130)
    assert "Traceback" not in rest
    assert all(programs.ends(int(child)) for child in children)


def test_a_port_that_is_taken_an_abi_without_a_bundle_and_a_shell_that_hangs_are_told(started):
    port = int(started.serial.rpartition(":")[2])
    with pytest.raises(EdgewiseError, match=f"Port {port} is taken"), machine.running(port=port):
        raise AssertionError("two machines share a port")

    old = device(f"android:{started.serial}")
    vars(old)["_properties"] = {"ro.product.cpu.abi": "armeabi-v7a"}
    with pytest.raises(EnvironmentMissing, match="of the ABI armeabi-v7a; there are bundles for arm64, x86_64"):
        old.require("litert")

    with pytest.raises(client.DeviceFailed, match="did not answer in 1 s"):
        Client(serial=started.serial).shell("sleep 50", timeout_s=1)
