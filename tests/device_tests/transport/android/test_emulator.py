"""The SDK's emulator: what is missing is told; the rest runs with a stand-in whose emulator is our machine."""

import os
import shlex
from pathlib import Path

import pytest

from device_tests.transport.android import child, client, emulator, machine
from device_tests.transport.android.client import Client
from models.common import files
from models.common.errors import EdgewiseError, EnvironmentMissing
from tests import programs

ABI = emulator.ABIS[os.uname().machine]
AVDMANAGER = "cmdline-tools/latest/bin/avdmanager"


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An SDK with tools that do nothing and two system images."""
    home = tmp_path / "sdk"
    for tool in ("emulator/emulator", AVDMANAGER, "platform-tools/adb"):
        programs.script(home / tool, "true")
    for version in ("android-9", "android-34"):
        files.write_bytes(home / "system-images" / version / "default" / ABI / "package.xml", b"")
    monkeypatch.setenv("ANDROID_HOME", str(home))
    return home


def test_the_newest_image_is_chosen_and_without_one_it_says_what_to_install(sdk):
    assert emulator.image().package == f"system-images;android-34;default;{ABI}"
    programs.script(sdk / AVDMANAGER, "echo 'Error: Package path is not valid.' >&2; exit 1")
    running = emulator.running(emulator.image())
    with pytest.raises(EdgewiseError, match="avdmanager fails: Error: Package path is not valid"), running:
        raise AssertionError("there is no AVD")
    for package in sdk.glob("system-images/*/*/*/package.xml"):
        package.unlink()
    with pytest.raises(EnvironmentMissing, match=f"lacks a system image for {ABI}. Install with: sdkmanager"):
        emulator.image()


@pytest.mark.needs("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "adb")
@pytest.mark.slow
def test_it_is_created_started_awaited_used_and_stopped(sdk, tmp_path, monkeypatch):
    """The real adb is told of the machine as the SDK's emulator tells of itself, and calls it emulator-PORT."""
    image = machine.build()
    (sdk / "platform-tools" / "adb").unlink()
    programs.script(sdk / AVDMANAGER, 'echo "$@ $ANDROID_AVD_HOME" > "$0.log"; read answer; test $answer = no')
    port = emulator.PORTS[-10]  # less likely to be taken than the first
    monkeypatch.setattr(emulator, "PORTS", (port,))
    console, server = tmp_path / "console", client.free_port()
    command = machine._command(image, (port + 1,), console, 64)
    # once it is up, the SDK's emulator tells adb's server, too
    tell = f"until grep -qs served {console}; do sleep 0.2; done; printf 0012host:emulator:{port + 1} > /dev/tcp/127.0.0.1/{server}"
    code = f'echo "$@" > "$0.log"\nbash -c {shlex.quote(tell)} 2>&1 &\nexec {shlex.join(command)}'
    programs.script(sdk / "emulator/emulator", code)
    monkeypatch.setenv(client.SERVER_PORT, str(server))
    quiet = {"ADB_USB": "0", "ADB_MDNS": "0", "HOME": str(tmp_path)}
    argv = (client.program(), "-P", str(server), "nodaemon", "server")
    with child.running(argv, log=tmp_path / "adb", env=quiet):
        client._await_port(server, tmp_path / "adb")
        with emulator.running(emulator.image()) as serial:
            assert serial == f"emulator-{port}"
            assert Client(serial=serial).shell("getprop sys.boot_completed").strip() == "1"
        assert f"-avd edgewise -port {port} -no-window" in (sdk / "emulator/emulator.log").read_text()
        assert client.attached().get(serial) != "device"
    created = "create avd --name edgewise --package system-images;android-34"
    assert created in (sdk / f"{AVDMANAGER}.log").read_text()
