"""What runs over adb where nothing fails: real runtimes from the real bundle, and what a real phone is measured with."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_tests.contract import Job, Load
from device_tests.devices import device
from device_tests.results import judging
from device_tests.schedule import Turns
from device_tests.transport.android import conditions
from export import artifact as artifacts
from models import reference
from models.errors import Unsupported
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
    ("runtime", "id"),
    [
        ("litert", f"{MODEL}-tflite-int8"),
        ("onnxruntime", f"{MODEL}-onnx-float32"),
        ("executorch", f"{MODEL}-executorch-int8"),
    ],
)
def test_the_published_wheels_run_where_only_the_kernel_is(real, runtime, id):
    sidecar = artifacts.sidecar_path(ARTIFACTS, id)
    if not sidecar.exists():
        programs.absent("needs artifacts: nox -s export")
    artifact = artifacts.read(sidecar)
    job = Job(runtime=runtime, artifact=ARTIFACTS / artifact.file, sidecar=sidecar, timeout_s=300, images=50, latency_s=0,
              reference=reference.path(ARTIFACTS, MODEL))  # fmt: skip
    row = real.run(job, Turns(1))
    assert (row["outcome"], row["reason"]) == ("ok", "")
    reference_set = reference.load(reference.path(ARTIFACTS, MODEL))
    judged = judging.judge(judging.unpack(row["logits"], 10, 50), reference_set)
    assert judged.agree == judged.total == 50
    assert row["peak_rss_bytes"] > row["baseline_rss_bytes"] > 0
    assert not row["latencies_ns"]  # an emulated device has none to tell
    environment = row["environment"]
    assert (environment["kind"], environment["android"], environment["abi"]) == (
        "Android-shaped machine",
        "none",
        "arm64-v8a",
    )
    assert environment["machine"] == "aarch64"


def test_there_is_no_c_library_outside_the_bundle(real):
    output = real.client.shell("for folder in /lib /usr /etc /bin; do [ ! -e $folder ] || echo $folder; done; id -u")
    assert output.split() == ["2000"]


def test_the_probe_answers_as_often_as_it_is_asked(phone, job):
    ready = """echo '{"outcome": "ok", "reason": "", "notes": []}'; while read line; do echo '{"ns": [1, 2]}'; done"""
    with phone(ready).loaded(Load(**{name: getattr(job, name) for name in Load.__dataclass_fields__})) as (row, ask):
        assert row["outcome"] == "ok"
        assert ask({"samples": 2, "inferences": 1}) == ask({"samples": 2, "inferences": 1}) == {"ns": [1, 2]}


def test_instructions_are_not_counted_there(phone, job):
    with pytest.raises(Unsupported, match="on an emulated core"):
        phone().counted(job, Path("plugin"), Path("log"))


def test_a_real_phone_says_in_what_state_it_was_measured(phone, job):
    """The machine, taken for a phone: it has neither clocks nor a battery to tell of, and the row says so."""
    taken = phone()
    assert taken.emulated
    vars(taken)["_properties"] = taken.client.properties() | {"ro.kernel.qemu": "0"}
    assert not taken.emulated
    row = taken.run(job, Turns(1))
    assert row["environment"]["governor"] == row["environment"]["screen"] == "not told"
    assert row["notes"] == ["the phone does not tell its cores' clocks: timed on whichever core it chose"]


@pytest.mark.parametrize(("size", "mask"), [("big", "1"), ("little", "2")])
def test_a_real_phone_is_measured_on_the_chosen_cores(phone, job, monkeypatch, size, mask):
    state = {"cpu0.cpuinfo_max_freq": "2000", "cpu1.cpuinfo_max_freq": "1000", "thermal_status": "0"}
    monkeypatch.setattr(conditions, "read", lambda client: state)
    taken = phone(MASK, core=size)
    vars(taken)["_properties"] = taken.client.properties() | {"ro.kernel.qemu": "0"}
    row = taken.run(job, Turns(1))
    assert row["environment"]["python"] == mask
    assert row["environment"]["cores"] == ("cpu0" if size == "big" else "cpu1")
    assert row["notes"] == []
