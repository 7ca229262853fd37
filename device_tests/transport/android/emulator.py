"""The headless emulator of Google's SDK, started for one run: a real Android with its framework.

It needs ANDROID_HOME with an emulator, platform tools, command-line tools and a system image. It was written after the
SDK's documentation, without an SDK at hand, and .github/workflows/android.yml runs it on a machine with KVM.
https://developer.android.com/studio/run/emulator-commandline
"""

import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device_tests.transport.android import child, client
from device_tests.transport.android.client import Client, DeviceFailed
from models.common.errors import EdgewiseError, EnvironmentMissing

NAME = "edgewise"
PORTS = range(5554, 5682, 2)  # the ports that adb gives to emulators
BOOT_S = 600
# the image that runs fast on each machine
ABIS = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64-v8a", "arm64": "arm64-v8a"}
HEADLESS = ("-no-window", "-no-audio", "-no-boot-anim", "-no-snapshot", "-wipe-data", "-gpu", "swiftshader_indirect")


@dataclass(frozen=True, kw_only=True)
class Image:
    """A system image of the SDK, by its package's name, and the tools that start it."""

    package: str
    emulator: Path
    avdmanager: Path


def image() -> Image:
    """Return the newest system image that runs well on this machine; raises EnvironmentMissing with what to install."""
    home = Path(os.environ.get("ANDROID_HOME", ""))
    abi = ABIS.get(platform.machine(), "x86_64")
    install = f"sdkmanager emulator platform-tools 'cmdline-tools;latest' 'system-images;android-34;default;{abi}'"
    if not os.environ.get("ANDROID_HOME"):
        raise EnvironmentMissing(
            "ANDROID_HOME is not set: the emulator needs Google's SDK. Install it (https://developer.android.com/studio), "
            f"then: {install}. The machine that needs none: nox -s 'devices(android-vm)'"
        )
    # system-images/android-34/default/x86_64 is the package "system-images;android-34;default;x86_64"
    images = [path.parent for path in home.glob(f"system-images/android-*/*/{abi}/package.xml")]
    images.sort(key=lambda path: [int(number) for number in re.findall(r"\d+", path.parts[-3])])
    package = ";".join(images[-1].relative_to(home).parts) if images else ""
    emulator, avdmanager = home / "emulator" / "emulator", home / "cmdline-tools" / "latest" / "bin" / "avdmanager"
    missing = [str(tool) for tool in (emulator, avdmanager) if not tool.exists()]
    missing += [] if images else [f"a system image for {abi}"]
    if missing:
        raise EnvironmentMissing(f"The SDK in {home} lacks {', '.join(missing)}. Install with: {install}")
    client.program()
    return Image(package=package, emulator=emulator, avdmanager=avdmanager)


@contextmanager
def running(image: Image) -> Iterator[str]:
    """Run a new, wiped emulator for the block; yield its serial once Android is up.

    Raises EdgewiseError where it does not come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = {"ANDROID_AVD_HOME": folder}
        create = (image.avdmanager, "create", "avd", "--name", NAME, "--package", image.package, "--force")
        # "no" custom hardware
        done = subprocess.run(create, env={**os.environ, **home}, input="no\n", capture_output=True, text=True)
        if done.returncode:
            raise EdgewiseError(f"avdmanager fails: {done.stderr.strip()[-500:]}")
        taken = client.attached()
        port = next(port for port in PORTS if f"emulator-{port}" not in taken)
        log = Path(folder) / "log"
        serial = f"emulator-{port}"
        command = (str(image.emulator), "-avd", NAME, "-port", str(port), *HEADLESS)
        with child.running(command, log=log, env=home) as process:
            _await(process, Client(serial=serial), log)
            yield serial


def _await(process: subprocess.Popen, client: Client, log: Path) -> None:
    end = time.monotonic() + BOOT_S
    while not (client.is_there and _booted(client)):
        if process.poll() is not None:
            raise EdgewiseError(f"The emulator ended before Android was up: {child.last_words(log)}")
        if time.monotonic() > end:
            msg = f"Android did not boot within {BOOT_S} s. The emulator said last: {child.last_words(log)}"
            raise EdgewiseError(msg)
        time.sleep(1)


def _booted(client: Client) -> bool:
    try:
        return client.shell("getprop sys.boot_completed").strip() == "1"
    except DeviceFailed:  # adbd starts again while Android boots
        return False
