"""What adb says is read, whatever its exit code; a script stands for adb here."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

from device_tests.transport.android import client
from device_tests.transport.android.client import Client, DeviceFailed
from models.common.errors import EnvironmentMissing, StorageError
from tests import programs

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


def test_states_are_read_among_adbs_other_talk_and_a_server_that_does_not_start_is_an_error(adb):
    adb(
        "echo '* daemon not running; starting now at tcp:5037'; echo '* daemon started successfully'\n"
        f"echo '{LIST}'; printf 'A\\tdevice\\nB\\tno permissions (user in plugdev group); see [x]\\nC\\toffline\\n\\n'"
    )
    assert client.attached() == {"A": "device", "B": "no permissions", "C": "offline"}
    adb("echo 'adb: failed to check server version: cannot connect to daemon' >&2; exit 1")
    with pytest.raises(EnvironmentMissing, match="cannot connect to daemon Start its server again"):
        client.attached()


def test_a_device_that_cannot_be_used_says_why(adb):
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
