"""The app as a device: the real adb client against the Android-shaped machine, or a script for adb where only words count.

A stand-in answers for pm, am and dumpsys (framework.sh), and what the app would write is prepared: no Android runs here.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from device_tests import devices
from device_tests.cells import cells, select
from device_tests.contract import Job
from device_tests.devices import app
from device_tests.measure.runner import Bench, Ended, run
from device_tests.onboard.worker import packed
from device_tests.results import measurement as measurements
from device_tests.schedule import Closed, Turns
from device_tests.transport.android import client, installed
from device_tests.transport.android.client import Client
from models.common import files
from models.common.errors import EnvironmentMissing, UsageError
from models.reference import Reference
from tests import programs
from tests.conftest import zipped
from tests.device_tests.conftest import joined, save_tflite

STAND_IN = Path(__file__).with_name("framework.sh")
ID = "torch_cnn_small-tflite-int8"
BUILD = "0123456789ab"
IMAGES = 40


# stands for adb with a phone whose shell and files are this machine's
ADB = r"""
getprop() { printf "[ro.product.cpu.abi]: [arm64-v8a]\n[ro.build.version.sdk]: [34]\n[ro.kernel.qemu]: [1]\n"; }
case "$1 $3" in
  devices*) printf "List of devices attached\nA1\tdevice\n" ;;
  "-s shell") eval "$4" ;;
  "-s push") cp -r "$4" "$5" ;;
esac
"""


class Reached(Client):
    """adb's client, whose shell finds the stand-in before the device's own programs."""

    tools: str = ""

    def shell(self, script: str, **options) -> str:
        return super().shell(f"PATH={self.tools}:$PATH\n{script}", **options)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A phone of this test: how it is told to behave, and the folder of its stand-in."""

    device: app.App
    tools: str
    artifacts: Path
    results: Path

    def shell(self, script: str) -> str:
        return self.device.client.shell(script).strip()

    def set(self, name: str, content: str) -> None:
        self.shell(f"printf '%s' '{content}' > {self.tools}/{name}")

    def commands(self) -> list[str]:
        return self.shell(f"cat {self.tools}/done 2>/dev/null || true").split()

    def run(self) -> Ended:
        ends: list[Ended] = []
        chosen = select(cells(self.device.name), runtimes=("litert",), patterns=(ID,))
        bench = Bench(artifacts=self.artifacts, results=self.results, quick=False, force=False, timeout_s=1)
        run(chosen, bench, jobs=1, begins=lambda id: None, ended=ends.append)
        return ends[0]


def row(reference_set: Reference) -> dict:
    """What the app writes: the float network's answers, but for one image."""
    logits = reference_set.logits.copy()
    logits[3] = np.roll(logits[3], 1)
    machine = {"cpu": "a chip", "cpus": 8, "os": "Android 14", "date": "2026-01-02T03:04:05+00:00"}
    environment = {**machine, "runtime": {"a:b": "1"}, "ran": "not known", "engine_bytes": 1_000}
    row = {
        "outcome": "ok",
        "reason": "",
        "notes": [],
        "threads": 1,
        "environment": environment,
        "answers": packed(logits),
    }
    return row | {"latencies_ns": [], "load_ns": 5, "first_ns": 6}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    """Return a function that sets a phone up: adb's, with this serial, and its stand-in under a folder there."""
    reference_set = save_tflite(tmp_path / "artifacts", IMAGES)
    left_out = {"onnxruntime": "It was not asked for (--engines)."}
    described = {"build": BUILD, "engines": {"litert": {}}, "left_out": left_out}
    monkeypatch.setattr(app, "APKS", tmp_path / "apks")
    app.APKS.mkdir()
    # an APK as far as its description goes
    zipped(app.APKS / "edgewise-arm64-v8a.apk", {"assets/build.json": json.dumps(described)})

    def make(serial: str, place: str, shell: str = "/bin/sh") -> Stage:
        tools, home = f"{place}/framework", PurePosixPath(place, "files")
        monkeypatch.setattr(installed, "HOME", home)
        monkeypatch.setattr(installed, "UPLOAD", PurePosixPath(place, "app.apk"))
        monkeypatch.setattr(app, "Client", type("Here", (Reached,), {"tools": tools}))
        devices.device.cache_clear()
        there = devices.device(f"app:{serial}")
        local = tmp_path / "framework"
        (local / "rows").mkdir(parents=True)
        for name in ("pm", "am", "dumpsys", "pidof"):
            programs.script(local / name, STAND_IN.read_text(), shell=shell)
        files.write_bytes(local / "home", str(home).encode())
        files.write_bytes(local / "build", BUILD.encode())
        files.write_json(local / "rows" / f"{ID}.json", row(reference_set))
        Client.keep(there.client, local, PurePosixPath(tools))
        there.client.shell(f"chmod 755 {tools}/pm {tools}/am {tools}/dumpsys {tools}/pidof")
        return Stage(device=there, tools=tools, artifacts=tmp_path / "artifacts", results=tmp_path / "results")

    yield make
    devices.device.cache_clear()


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Callable[..., Stage]) -> Stage:
    """A phone for which a script stands: its shell is this machine's, and so are its files."""
    programs.script(tmp_path / "bin" / "adb", ADB)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(installed, "POLL_S", 0.02)
    place = tmp_path / "phone"
    place.mkdir()
    return stage("A1", str(place))


def test_a_cell_is_measured_in_the_app_and_judged_here_and_clean_uninstalls(phone):
    measurement = phone.run().measurement
    assert (measurement.outcome, measurement.reason) == ("ok", "")
    assert measurement.id == f"{ID}@litert@app:A1"
    assert (measurement.total, measurement.agree) == (IMAGES, IMAGES - 1)
    assert [flip.index for flip in measurement.flips] == [3]
    assert measurement.environment.extra["ran"] == "not known"
    devices.device.cache_clear()
    assert phone.run().current  # neither is what is finished measured again nor the app installed
    assert phone.commands() == ["install", "start"]
    assert phone.shell(f"ls {installed.HOME}/jobs {installed.HOME}/results | grep {ID} || true") == ""
    shown = joined(phone.artifacts, phone.results, "app:A1")
    assert [(row.outcome, row.evidence) for row in shown if row.artifact == ID] == [("ok", "current")]
    phone.device.clean()
    assert phone.shell(f"[ ! -f {phone.tools}/installed.apk ] && [ ! -d {installed.HOME} ] && echo gone") == "gone"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("wakefulness", "Asleep", "The screen of A1 is off. Switch it on, unlock it"),
        ("locked", "", "A1 is locked. Unlock it"),
        ("refusal", "Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]", "A1 does not take the app: it has no room for the app"),
        ("refusal", "Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: x]", "another key is there. Remove it: nox -s device_tests -- --device app:A1 --clean"),
        ("refusal", "Failure [INSTALL_FAILED_SOMETHING_NEW]", "it says: Failure .INSTALL_FAILED_SOMETHING_NEW"),
    ],
    ids=str,
)  # fmt: skip
def test_a_phone_that_cannot_be_used_says_why_in_a_sentence(phone, file, content, message):
    phone.set(file, content)
    with pytest.raises(EnvironmentMissing, match=message):
        phone.device.require("litert")
    end = phone.run()
    assert (end.measurement.outcome, type(end.lacks)) == ("skipped", EnvironmentMissing)


@pytest.mark.parametrize(
    ("mood", "outcome", "reason"),
    [
        ("killed", "run_failed", "the app was killed there, as Android does where memory is short"),
        ("away", "run_failed", "the app was not in front for 0.1 s: unlock the screen"),
        ("silent", "timed_out", "no sign of life in 1 s; at last it said: Round 1 of 9"),
    ],
)
def test_an_app_that_does_not_answer_is_a_row(phone, monkeypatch, mood, outcome, reason):
    monkeypatch.setattr(installed, "AWAY_S", 0.1)
    phone.set("mood", mood)
    measurement = phone.run().measurement
    assert (measurement.outcome, measurement.reason[: len(reason)]) == (outcome, reason)


def test_what_the_app_that_was_built_lacks_is_said_and_an_old_phone_is_told_what_runs_there_without_it(phone):
    (apk,) = app.APKS.iterdir()
    whole = apk.read_bytes()
    apk.unlink()
    with pytest.raises(EnvironmentMissing, match=r"not built for arm64-v8a. Build it: nox -s 'apps\(android\)'"):
        phone.device.require("litert")
    apk.write_bytes(b"PK no")
    with pytest.raises(EnvironmentMissing, match="is not the app"):
        phone.device.require("litert")
    apk.write_bytes(whole)
    with pytest.raises(EnvironmentMissing, match="onnxruntime is not in the app that was built. It was not asked for"):
        phone.device.require("onnxruntime")
    old = {"ro.build.version.sdk": "25", "ro.build.version.release": "7.1", "ro.product.cpu.abi": "arm64-v8a"}
    vars(phone.device)["_properties"] = old
    sentence = "app:A1 has Android 7.1; the app needs 8 or newer. Without the app: --device android:SERIAL"
    with pytest.raises(EnvironmentMissing, match=sentence):
        phone.device.require("litert")


job_of = partial(Job, runtime="litert", images=0, latency_s=0, timeout_s=9)


def test_an_interrupted_run_ends_the_app(phone):
    phone.set("mood", "silent")
    phone.device.require("litert")
    files = {"artifact": f"{ID}.tflite", "sidecar": f"{ID}.json", "reference": "torch_cnn_small.reference.npz"}
    job, turns = job_of(**{name: phone.artifacts / file for name, file in files.items()}), Turns(1)
    threading.Timer(0.3, turns.close).start()
    with pytest.raises(Closed):
        phone.device.run(job, turns)
    assert phone.shell(f"ls {phone.tools} | grep -x pid || true") == ""


def test_of_two_phones_one_must_be_named_and_without_any_it_says_what_to_connect(phone, monkeypatch):
    several = r"several devices: A \(device\), B \(device\). Say which: --device app:SERIAL"
    for serials, message in (("AB", several), ("", "Connect a phone with USB debugging switched on")):
        monkeypatch.setattr(client, "attached", lambda serials=serials: dict.fromkeys(serials, "device"))
        with pytest.raises(EnvironmentMissing, match=message):
            devices.device("app:")


def test_wishes_in_another_order_are_the_same_device_and_those_that_there_are_not_are_refused():
    one, other = devices.device("app:A1+nnapi+t2"), devices.device("app:A1+t2+nnapi")
    assert one.name == other.name == "app:A1+t2+nnapi"
    assert app._MEASURING[one.client.serial] is app._MEASURING[other.client.serial]  # one phone is one host
    two = "asks for two of a kind"
    for wishes, message in (
        ("+t3", r"asks for \+t3, which there is not"),
        ("+t2+t4", two),
        ("+xnnpack+no_xnnpack", two),
    ):
        with pytest.raises(UsageError, match=message):
            devices.device(f"app:A1{wishes}")


def test_a_phone_measures_one_cell_at_a_time(monkeypatch, tmp_path):
    """The app leaves what it does for what it is asked next."""
    there, most = [], []

    def measured(self, job: Job, turns: Turns) -> dict:
        there.append(job)
        most.append(len(there))
        threading.Event().wait(0.05)
        there.remove(job)
        return {"outcome": "ok"}

    monkeypatch.setattr(app.App, "_measured", measured)
    monkeypatch.setattr(app.App, "_reply", lambda self, row: row)
    turns = Turns(2)
    job = job_of(artifact=tmp_path, sidecar=tmp_path, reference=tmp_path)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: devices.device(name).run(job, turns), ("app:B2", "app:B2+t4", "app:B2")))
    assert most == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.needs("adb")
def test_the_real_adb_brings_the_app_its_job_and_takes_its_row(started, stage):
    there = stage(started.serial, "/data/local/tmp/app-test", "/system/bin/sh")
    try:
        measurement = there.run().measurement
        assert (measurement.outcome, measurement.reason, measurement.agree) == ("ok", "", IMAGES - 1)
        assert there.commands() == ["install", "start"]
        devices.device.cache_clear()
        assert there.run().current
        logits = np.load(measurements.logits_path(there.results, measurement.id))
        assert logits.shape == (IMAGES, 10)
        there.device.clean()
        assert there.shell(f"[ -d {installed.HOME} ] || echo gone") == "gone"
    finally:
        there.shell("rm -rf /data/local/tmp/app-test")
