"""What adb says is read, whatever its exit code; a script stands for adb here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from device_tests.transport.android import client
from device_tests.transport.android.client import Client, DeviceFailed
from models.errors import EnvironmentMissing

LIST = "List of devices attached"


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a script in adb's place, which is the whole PATH."""

    def install(script: str) -> None:
        program = tmp_path / "adb"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    return install


def test_without_adb_it_says_how_to_install_it(adb):
    with pytest.raises(EnvironmentMissing, match="sudo apt-get install adb"):
        client.attached()


def test_the_sdks_adb_serves_where_the_path_has_none(tmp_path, monkeypatch):
    tools = tmp_path / "platform-tools"
    tools.mkdir()
    (tools / "adb").write_text("#!/bin/sh\n")
    (tools / "adb").chmod(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    assert client.program() == str(tools / "adb")


def test_states_are_read_among_adbs_other_talk(adb):
    adb(
        "echo '* daemon not running; starting now at tcp:5037'; echo '* daemon started successfully'\n"
        f"echo '{LIST}'; printf 'A\\tdevice\\nB\\tno permissions (user in plugdev group); see [x]\\nC\\toffline\\n\\n'"
    )
    assert client.attached() == {"A": "device", "B": "no permissions", "C": "offline"}


def test_a_device_without_permissions_says_what_to_install(adb):
    adb(f"echo '{LIST}'; printf 'B\\tno permissions (missing udev rules?); see [x]\\n'")
    with pytest.raises(EnvironmentMissing, match="B is no permissions. .*udev rules"):
        client.choose("B")


def test_a_state_that_nobody_thought_of_is_told_too(adb):
    adb(f"echo '{LIST}'; printf 'B\\trecovery\\n'")
    with pytest.raises(EnvironmentMissing, match="B is recovery. It must be started as usual"):
        client.choose("")


def test_a_server_that_does_not_start_is_an_error(adb):
    adb("echo 'adb: failed to check server version: cannot connect to daemon' >&2; exit 1")
    with pytest.raises(EnvironmentMissing, match="cannot connect to daemon Start its server again"):
        client.attached()


def test_a_script_that_does_not_come_to_its_end_failed_although_adb_says_0(adb):
    adb("echo half; exit 0")
    with pytest.raises(DeviceFailed, match="A was lost, or the shell there was killed: half"):
        Client(serial="A").shell("true")


def test_the_exit_code_is_the_scripts_not_adbs(adb):
    adb("echo no such thing; echo edgewise-exit:3; exit 0")
    with pytest.raises(DeviceFailed, match="A says, with exit code 3: no such thing"):
        Client(serial="A").shell("true")


def test_a_push_that_skips_a_file_failed_although_adb_says_0(adb, tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "file").write_text("content")
    adb("case $3 in push) echo 'some: 0 files pushed, 1 skipped.';; *) echo edgewise-exit:0;; esac; exit 0")
    with pytest.raises(DeviceFailed, match="1 of 1 files of some did not arrive at A: some: 0 files pushed"):
        Client(serial="A").keep(tmp_path / "some", PurePosixPath("/data/local/tmp/some"))


def test_a_board_without_getprop_tells_its_processor(adb):
    adb('PATH=/usr/bin:/bin exec /bin/sh -c "$4"')
    assert Client(serial="A").properties() == {client.ABI: os.uname().machine}
