"""What adb and a phone say is read, whatever the exit code; scripts stand for them here, and no real phone was ever asked."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from device_tests.commands.android import android as group
from device_tests.transport.android import client, conditions, machine
from device_tests.transport.android.client import Client, DeviceFailed
from models.common.errors import EnvironmentMissing, StorageError, UsageError
from tests import programs
from tests.device_tests.conftest import run_module

LIST = "List of devices attached"


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a script in adb's place, which is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    return partial(programs.script, tmp_path / "adb")


def test_without_adb_the_sdks_serves_or_it_says_how_to_install_it(adb, tmp_path, monkeypatch):
    with pytest.raises(EnvironmentMissing, match="sudo apt-get install adb"):
        client.attached()
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    own = programs.script(tmp_path / "platform-tools" / "adb", "")
    assert client.program() == str(own)


def test_states_are_read_among_adbs_other_talk_and_a_server_or_device_that_cannot_be_used_says_why(adb):
    adb(
        "echo '* daemon not running; starting now at tcp:5037'; echo '* daemon started successfully'\n"
        f"echo '{LIST}'; printf 'A\\tdevice\\nB\\tno permissions (user in plugdev group); see [x]\\nC\\toffline\\n\\n'"
    )
    assert client.attached() == {"A": "device", "B": "no permissions", "C": "offline"}
    adb("echo 'adb: failed to check server version: cannot connect to daemon' >&2; exit 1")
    with pytest.raises(EnvironmentMissing, match="cannot connect to daemon Start its server again"):
        client.attached()

    adb(f"echo '{LIST}'; printf 'B\\tno permissions (missing udev rules?); see [x]\\n'")
    with pytest.raises(EnvironmentMissing, match="B is no permissions. .*udev rules"):
        client.choose("B")
    adb(f"echo '{LIST}'; printf 'B\\trecovery\\n'")  # which nobody thought of
    with pytest.raises(EnvironmentMissing, match="B is recovery. It must be started as usual"):
        client.choose("")


def test_a_script_that_fails_or_is_killed_and_a_push_that_skips_a_file_failed_although_adb_says_0(adb, tmp_path):
    ends = {
        "echo half": "A was lost, or the shell there was killed: half",
        "echo no such thing; echo edgewise-exit:3": "A says, with exit code 3: no such thing",
    }
    for output, message in ends.items():
        adb(f"{output}; exit 0")
        with pytest.raises(DeviceFailed, match=message):
            Client(serial="A").shell("true")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "file").write_text("content")
    adb("case $3 in push) echo 'some: 0 files pushed, 1 skipped.';; *) echo edgewise-exit:0;; esac; exit 0")
    with pytest.raises(DeviceFailed, match="1 of 1 files of some did not arrive at A: some: 0 files pushed"):
        Client(serial="A").keep(tmp_path / "some", PurePosixPath("/data/local/tmp/some"))


def test_a_phone_without_room_says_how_to_remove_what_is_there_of_ours(adb, tmp_path):
    (tmp_path / "file").write_text("content")
    adb(
        "case $3 in push) echo 'No space left on device'; exit 1;; esac\n"
        "case $4 in *df*) echo '/dev/x 9 8 2048 80% /data';; esac; echo edgewise-exit:0"
    )
    own = "nox -s app -- --clean"
    for clean, shown in (("", "nox -s 'devices.android.' -- --clean --device android:A$"), (own, f"{own}$")):
        with pytest.raises(StorageError, match=f"A has no room for file, 0 MB; 2 MB are free. .*{shown}"):
            Client(serial="A", clean=clean).keep(tmp_path / "file", PurePosixPath("/data/local/tmp/file"))


def test_a_board_without_getprop_tells_its_processor(adb):
    adb('PATH=/usr/bin:/bin exec /bin/sh -c "$4"')
    assert Client(serial="A").properties() == {client.ABI: os.uname().machine}


def test_without_the_sdk_or_qemu_it_says_what_to_install(adb):
    packages = "sudo apt-get install --no-install-recommends qemu-system-arm"
    qemu = f"^The Android-shaped machine needs qemu-system-aarch64, aarch64-linux-gnu-gcc.*{packages}"
    for command, lacks in (("phone", "^ANDROID_HOME is not set.*sdkmanager emulator.*android-vm"), ("vm", qemu)):
        with pytest.raises(EnvironmentMissing, match=lacks):
            group.main([command, "--quick"], standalone_mode=False)


def test_only_what_adb_reaches_is_cleaned_with_it_and_listing_starts_no_machine(monkeypatch, capsys):
    with pytest.raises(UsageError, match="desktop is not reached over adb"):
        group.main(["phone", "--clean", "--device", "desktop"], standalone_mode=False)
    monkeypatch.setattr(machine, "running", None)
    group.main(["vm", "--list", "--only", "torch_cnn_small-tflite-int8"], standalone_mode=False)
    assert capsys.readouterr().out.split() == [f"torch_cnn_small-tflite-int8@litert@android:{machine.SERIAL}"]


@pytest.mark.slow
def test_a_device_is_cleaned_by_the_command(started, phone):
    phone().client.shell("mkdir -p /data/local/tmp/edgewise/bundles/old")
    output = run_module("device_tests", "android", "phone", "--clean", "--device", f"android:{started.serial}")
    assert output.strip() == f"Removed all of Edgewise from android:{started.serial}"
    assert phone().client.shell("ls -A /data/local/tmp").strip() == ""


# as a phone with four little, three middle and one big core answers the script
FACTS = {
    "thermal_status": "0",
    "screen": "Asleep",
    "power": "USB",
    "battery_percent": "87",
    "battery_decicelsius": "291",
}
for i, clock in enumerate(["1704000"] * 4 + ["2367000"] * 3 + ["2914000"]):
    FACTS |= {f"cpu{i}.cpuinfo_max_freq": clock, f"cpu{i}.scaling_governor": "sched_pixel"}


def test_lines_without_a_fact_are_none_and_cores_are_told_apart_by_their_highest_clock():
    output = "sh: dumpsys: not found\ncpu0.scaling_governor=schedutil\r\nbattery_percent=50\n"
    facts = conditions.read(SimpleNamespace(shell=lambda script: output))
    assert facts == {"cpu0.scaling_governor": "schedutil", "battery_percent": "50"}
    for size, numbers, mask in (("big", (7,), "80"), ("little", (0, 1, 2, 3), "f")):
        assert (conditions.cores(FACTS, size), conditions.mask(numbers)) == (numbers, mask)


def test_the_environment_says_what_was_before_and_after_and_throttling_is_a_warning():
    after = FACTS | {"battery_percent": "86", "battery_decicelsius": "318"}
    assert conditions.facts(FACTS, after, (7,)) == {
        "cores": "cpu7",
        "governor": "sched_pixel",
        "thermal_status": "0 before, 0 after",
        "battery": "87 %, 29.1 °C before, 86 %, 31.8 °C after",
        "screen": "Asleep",
        "power": "USB",
    }
    assert conditions.warnings(FACTS, after, (7,)) == []
    hot = FACTS | {"thermal_status": "2"}
    assert conditions.warnings(FACTS, hot, (7,)) == ["the phone throttled: thermal status 0, then 2"]
    # what a phone keeps to itself is said to be unknown, and it is not pinned
    facts = conditions.facts({}, {}, ())
    assert facts["governor"] == facts["screen"] == facts["power"] == "not told"
    assert facts["battery"] == "not told before, not told after"
    assert conditions.cores({}, "big") == ()
    (warning,) = conditions.warnings({}, {}, ())
    assert warning == "the phone does not tell its cores' clocks: timed on whichever core it chose"
