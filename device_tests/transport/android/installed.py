"""The Android app on a phone, over adb: installs it, gives it jobs, waits, and reads the results.

`pm` and `am` end with exit code 0 on failures, so their output is read. Nothing needs root or a debuggable app: files
go through the app's own folder in shared storage, which the app makes itself.
"""

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from device_tests.transport.android.client import Client, DeviceFailed
from models.common.errors import EnvironmentMissing, StorageError

PACKAGE = "org.edgewise.app"
WINDOW = f"{PACKAGE}/.ui.RunActivity"
HOME = PurePosixPath("/sdcard/Android/data") / PACKAGE / "files"
UPLOAD = PurePosixPath("/data/local/tmp/edgewise-app.apk")
OLDEST = 26  # Android API
POLL_S, READY_S, AWAY_S = 0.5, 20.0, 60.0
NOT_RUNNING, DONE = "edgewise-gone", "edgewise-result:"
# pm's messages instead of Success, with what a person can do.
REFUSALS = {
    "INSTALL_FAILED_INSUFFICIENT_STORAGE": "it has no room for the app. Free some storage there",
    "INSTALL_FAILED_UPDATE_INCOMPATIBLE": "an Edgewise that was signed with another key is there. Remove it: {clean}",
    "INSTALL_FAILED_OLDER_SDK": "its Android is too old for the app",
    "INSTALL_FAILED_NO_MATCHING_ABIS": "the app was built for another kind of processor",
    "INSTALL_FAILED_USER_RESTRICTED": "it does not let adb install apps. Allow `Install via USB` in its developer options",
}


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The app on the phone of `client`, whose command `clean` removes it."""

    client: Client

    def version(self) -> str:
        """Return the installed version's name, "" where the app is not installed."""
        output = self.client.shell(f"dumpsys package {PACKAGE} | grep versionName= | head -n 1")
        return output.strip().partition("versionName=")[2]

    def install(self, apk: Path) -> None:
        """Install an APK over an older one; raises StorageError or EnvironmentMissing with the phone's reason."""
        self.client.keep(apk, UPLOAD)
        output = self.client.shell(f"pm install -r {UPLOAD} 2>&1 || true; rm -f {UPLOAD}", timeout_s=300)
        if "Success" in output:
            return
        for word, why in REFUSALS.items():
            if word in output:
                kind = StorageError if "STORAGE" in word else EnvironmentMissing
                raise kind(f"{self.client.serial} does not take the app: {why.format(clean=self.client.clean)}.")
        raise EnvironmentMissing(
            f"{self.client.serial} does not take the app; it says: {' '.join(output.split())[:300]}"
        )

    def uninstall(self) -> None:
        """Remove the app and all its files."""
        self.client.shell(f"pm uninstall {PACKAGE} 2>&1 || true; rm -f {UPLOAD}")

    def require_awake(self) -> None:
        """Raise EnvironmentMissing where the screen is off or locked: Android starts no window there."""
        output = self.client.shell(
            "dumpsys power 2>/dev/null | grep mWakefulness= | head -n 1\n"
            "dumpsys window 2>/dev/null | grep -oE '(mDreamingLockscreen|isKeyguardShowing|mShowingLockscreen|isStatusBarKeyguard)=true' | head -n 1"
        )
        if "mWakefulness=" in output and "Awake" not in output:
            msg = f"The screen of {self.client.serial} is off. Switch it on, unlock it, and run this again."
            raise EnvironmentMissing(msg)
        if "=true" in output:
            raise EnvironmentMissing(f"{self.client.serial} is locked. Unlock it, and run this again.")

    def prepare(self) -> None:
        """Start the app so that it makes its folders, which it must own; raises DeviceFailed where it does not start."""
        self.client.shell(f"rm -f {HOME}/ready")
        self._start("")
        end = time.monotonic() + READY_S
        while "yes" not in self.client.shell(f"[ ! -f {HOME}/ready ] || echo yes"):
            if time.monotonic() > end:
                msg = f"The app does not start on {self.client.serial}: nothing came of it in {READY_S:g} s. Open it there by hand."
                raise DeviceFailed(msg)
            time.sleep(POLL_S)

    def put(self, source: Path, target: str) -> None:
        """Make a file or folder of the app's folder equal to the one here, readable for the app."""
        place = HOME / target
        self.client.keep(source, place)
        # the shell owns the files, and the app must read them; some storage has no owners, and chmod fails
        self.client.shell(f"chmod -R a+rX {shlex.quote(str(place))} 2>/dev/null || true")

    def measure(self, job: str, *, timeout_s: float, interrupted: Callable[[], None]) -> dict[str, Any]:
        """Let the app do a job that was put there; return its result. Raises DeviceFailed and TimeoutError.

        `interrupted` is called now and then, and raises where the run is being ended.
        """
        try:
            self._start(job)
            return self._await(job, timeout_s, interrupted)
        finally:
            self.client.shell(f"rm -rf {HOME}/jobs/{job} {HOME}/results/{job}.*")

    def stop(self) -> None:
        """Kill the app there."""
        self.client.shell(f"am force-stop {PACKAGE}")

    def _start(self, job: str) -> None:
        extra = f" --es job {shlex.quote(job)}" if job else ""
        output = self.client.shell(f"am start -n {WINDOW}{extra} 2>&1 || true")
        if "Error" in output or "Exception" in output or "not found" in output:
            raise DeviceFailed(f"{self.client.serial} does not start the app: {' '.join(output.split())[:300]}")

    def _await(self, job: str, timeout_s: float, interrupted: Callable[[], None]) -> dict[str, Any]:
        script = (
            f"cd {HOME}/results && if [ -f {job}.json ]; then echo {DONE}; cat {job}.json; "
            f"else [ ! -f {job}.progress ] || cat {job}.progress; echo; pidof {PACKAGE} >/dev/null || echo {NOT_RUNNING}; fi"
        )
        last, spoke, away, missed = "", time.monotonic(), 0.0, 0
        while True:
            interrupted()
            output = self.client.shell(script)
            if DONE in output:
                return _record(output.partition(DONE)[2], f"the result of {job}")
            missed = missed + 1 if NOT_RUNNING in output else 0
            if missed > 1:  # a process that has just been started may not be seen yet
                raise DeviceFailed("the app was killed there, as Android does where memory is short")
            progress = _record(output.replace(NOT_RUNNING, ""), "its progress") if "{" in output else {}
            now = time.monotonic()
            if output != last:
                last, spoke = output, now
            away = (away or now) if progress.get("state") == "paused" else 0.0
            if progress.get("state") == "failed":
                raise DeviceFailed(f"the app says: {progress.get('says')}")
            if progress.get("state") == "cancelled":
                raise DeviceFailed("the app was asked for something else there")
            if away and now - away > AWAY_S:
                remedy = "unlock the screen, leave the app in front, and run this again"
                raise DeviceFailed(f"the app was not in front for {AWAY_S:g} s: {remedy}")
            if now - spoke > timeout_s and not away:
                msg = f"no sign of life in {timeout_s:g} s; at last it said: {progress.get('says') or 'nothing'}"
                raise TimeoutError(msg)
            time.sleep(POLL_S)


def _record(text: str, what: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DeviceFailed(f"{what} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DeviceFailed(f"{what} is no record")
    return content
