"""What runs over adb where nothing fails: real runtimes from the real bundle, and what a real phone is measured with."""

from pathlib import Path

import pytest

from device_tests.contract import Job
from device_tests.devices import device
from device_tests.devices.adb import Phone
from device_tests.results import judging
from device_tests.schedule import Turns
from device_tests.transport.android import conditions
from export import artifact as artifacts
from models import reference
from tests import programs

pytestmark = pytest.mark.slow
ARTIFACTS = Path(__file__).parents[4] / "artifacts"
MODEL = "torch_cnn_small"
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
    file = reference.path(ARTIFACTS, MODEL)
    job = Job(runtime=runtime, artifact=ARTIFACTS / artifact.file, sidecar=sidecar, timeout_s=300, images=50, latency_s=0,
              reference=file)  # fmt: skip
    row = real.run(job, Turns(1))
    assert (row["outcome"], row["reason"]) == ("ok", "")
    judged = judging.judge(judging.unpack(row["logits"], 10, 50), reference.load(file))
    assert judged.agree == judged.total == 50
    assert row["peak_rss_bytes"] > row["baseline_rss_bytes"] > 0
    assert not row["latencies_ns"]  # an emulated device has none to tell
    facts = {"kind": "Android-shaped machine", "android": "none", "abi": "arm64-v8a", "machine": "aarch64"}
    assert facts.items() <= {name: row["environment"][name] for name in facts}.items()


def test_there_is_no_c_library_outside_the_bundle(real):
    output = real.client.shell("for folder in /lib /usr /etc /bin; do [ ! -e $folder ] || echo $folder; done; id -u")
    assert output.split() == ["2000"]


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
