"""The Android app as a device: `app:SERIAL` runs an engine inside the app, as users have it, over adb.

The APK is the one that `nox -s "apps(android)"` built. Each cell is a job that the app does in a window of its own.
`app:SERIAL+t2+no_xnnpack` chooses threads and an accelerator; `app:` alone means the only phone that adb sees.
"""

import json
import os
import tempfile
import threading
import zipfile
from collections import defaultdict
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from device_tests.contract import Job
from device_tests.devices import adb
from device_tests.devices._once import Once
from device_tests.schedule import Closed, Turns
from device_tests.transport.android import client, evaluation, installed
from device_tests.transport.android.client import Client, DeviceFailed
from models import reference
from models.common import files
from models.common.environments import ROOT
from models.common.errors import EnvironmentMissing, StorageError, UsageError

NAMES = ("app:",)
SESSION = "device_tests"
LOCAL = False
APKS = ROOT / "apps" / "android" / "build"
BUILD = "nox -s 'apps(android)'"
ACCELERATORS = ("xnnpack", "no_xnnpack", "nnapi")
THREADS = {"t2": 2, "t4": 4}
SAMPLES = 1_024  # latency samples at most, as in the worker


# by serial number: the app does one job at a time, and a second one ends the first
_MEASURING: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class App(adb.Reached):
    """The app on a phone, whose host is the phone, whatever the threads and the accelerator."""

    runtimes = ("litert", "onnxruntime", "executorch")

    def __init__(self, name: str, reached: Client, wishes: tuple[str, ...]) -> None:
        super().__init__(name, reached, machine=f"app:{reached.serial}")
        self._threads = next((THREADS[wish] for wish in wishes if wish in THREADS), 1)
        self._accelerator = next((wish for wish in wishes if wish in ACCELERATORS), "default")
        self._prepare = Once(self._start)
        self._evaluation = Once(self._put_evaluation)
        self._installed = installed.Installed(client=reached)

    def require(self, runtime: str) -> None:
        """Raise EnvironmentMissing where the phone does not answer or is locked, or where the app has no such engine."""
        client.choose(self.client.serial)
        engines = self._build["engines"]
        if runtime not in engines:
            why = self._build["left_out"].get(runtime, "")
            msg = f"{runtime} is not in the app that was built. {why} Build it with {runtime}: {BUILD} -- --aar {runtime}=FILE"
            raise EnvironmentMissing(msg)
        try:
            self._prepare()
        except (DeviceFailed, StorageError) as error:
            raise EnvironmentMissing(str(error)) from error

    def pins(self, runtime: str) -> tuple[str, ...]:
        return (self._properties.get("ro.build.fingerprint", ""), self._build["build"])

    def run(self, job: Job, turns: Turns) -> dict[str, Any]:
        turn = turns.alone() if job.latency_s else turns.share()
        try:
            with _MEASURING[self.client.serial], turn:
                return self._reply(self._measured(job, turns))
        except TimeoutError as error:
            self.stop()
            return {"outcome": "timed_out", "reason": str(error)}

    def stop(self) -> None:
        with suppress(DeviceFailed, EnvironmentMissing):
            self._installed.stop()

    def clean(self) -> None:
        """Remove the app, and all that it kept."""
        client.choose(self.client.serial)
        self._installed.uninstall()

    def _measured(self, job: Job, turns: Turns) -> dict[str, Any]:

        def interrupted() -> None:
            if turns.closed:
                self.stop()
                raise Closed

        name = f"{os.getpid()}-{job.artifact.stem}"
        request = {
            "evaluation": self._evaluation(job.reference, job.images),
            "images": job.images,
            "latency_s": job.latency_s,
        }
        request |= {"samples": SAMPLES, "threads": self._threads, "accelerator": self._accelerator}
        with tempfile.TemporaryDirectory() as folder:
            files.write_json(Path(folder, "job.json"), request)
            files.write_bytes(Path(folder, "sidecar.json"), job.sidecar.read_bytes())
            files.write_bytes(Path(folder, "artifact"), job.artifact.read_bytes())
            self._installed.put(Path(folder), f"jobs/{name}")
        return self._installed.measure(name, timeout_s=job.timeout_s, interrupted=interrupted)

    def _reply(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the app's row as a worker's reply, whose logits are judged on this machine."""
        reply = {name: row[name] for name in ("outcome", "reason", "notes", "environment", "threads", "load_ns", "first_ns")
                 if name in row}  # fmt: skip
        reply |= {"latencies_ns": row.get("latencies_ns", []), "logits": row.get("answers", ""), "sets": {}}
        if "environment" in reply:
            properties = self._properties
            release, abi = properties.get("ro.build.version.release", ""), properties.get(client.ABI, "")
            reply["environment"] |= {"android": release, "abi": abi}
            if self._accelerator != "default":
                reply["environment"]["accelerator"] = self._accelerator
        return reply

    def _put_evaluation(self, file: Path, count: int) -> str:
        """Return the name on the phone of a reference's first `count` images, 0 for all, pushed first if missing."""
        reference_set = reference.load(file)
        facts, content = evaluation.described(reference_set, count or len(reference_set.images))
        name = f"{reference_set.model}-{reference_set.sha256[:12]}-{facts['count']}"
        with tempfile.TemporaryDirectory() as folder:
            for suffix, part in ((".json", json.dumps(facts).encode()), (".bin", content)):
                files.write_bytes(Path(folder, name + suffix), part)
                self._installed.put(Path(folder, name + suffix), f"evaluation/{name}{suffix}")
        return name

    def _start(self) -> None:
        """Install the app unless this build is there, and let it make its folders."""
        sdk = self._properties.get("ro.build.version.sdk", "")
        if sdk.isdigit() and int(sdk) < installed.OLDEST:
            release = self._properties.get("ro.build.version.release", "?")
            raise EnvironmentMissing(
                f"{self.name} has Android {release}; the app needs 8 or newer. Without the app: --device android:SERIAL"
            )
        self._installed.require_awake()
        if not self._installed.version().endswith(f"+{self._build['build']}"):
            self._installed.install(self._apk)
        self._installed.prepare()

    @cached_property
    def _apk(self) -> Path:
        """Return the APK for the phone's processor; raises EnvironmentMissing where none was built."""
        abis = (self._properties.get("ro.product.cpu.abilist") or self._properties.get(client.ABI, "")).split(",")
        for abi in abis:
            apk = APKS / f"edgewise-{abi}.apk"
            if apk.is_file():
                return apk
        raise EnvironmentMissing(
            f"The Android app was not built for {', '.join(abis) or 'the processor of ' + self.name}. Build it: {BUILD}"
        )

    @cached_property
    def _build(self) -> dict[str, Any]:
        """Return the APK's own description; raises EnvironmentMissing where it is not an APK of this project."""
        try:
            with zipfile.ZipFile(self._apk) as archive:
                build = json.loads(archive.read("assets/build.json"))
            return {"build": str(build["build"]), **{name: dict(build[name]) for name in ("engines", "left_out")}}
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError) as error:
            raise EnvironmentMissing(
                f"{self._apk} is not the app ({str(error)[:200]}). Build it again: {BUILD}"
            ) from error


def device(name: str) -> App:
    kind, _, rest = name.partition(":")
    serial, *wishes = rest.split("+")
    for wish in wishes:
        if wish not in (*THREADS, *ACCELERATORS):
            choices = ", ".join(f"+{one}" for one in (*THREADS, *ACCELERATORS))
            msg = f"{name!r} asks for +{wish}, which there is not. {kind}:SERIAL may be followed by {choices}."
            raise UsageError(msg)
    if any(sum(wish in kinds for wish in wishes) > 1 for kinds in (THREADS, ACCELERATORS)):
        msg = f"{name!r} asks for two of a kind. Take one of {', '.join(f'+{one}' for one in THREADS)}, and one of {', '.join(f'+{one}' for one in ACCELERATORS)}."
        raise UsageError(msg)
    wishes.sort(key=[*THREADS, *ACCELERATORS].index)
    chosen = serial or client.choose("", kind)
    full = "+".join((f"{kind}:{chosen}", *wishes))
    return App(full, Client(serial=chosen, clean=f"nox -s device_tests -- --device {full} --clean"), tuple(wishes))
