"""What the command says where there is nothing to start."""

import pytest

from device_tests.commands.android import android as group
from device_tests.transport.android import machine
from models.common.errors import EnvironmentMissing, UsageError
from tests.device_tests.conftest import run_module


@pytest.mark.parametrize(
    ("command", "lacks", "install"),
    [
        ("phone", "ANDROID_HOME is not set", "sdkmanager"),
        ("vm", "The Android-shaped machine needs qemu-system-aarch64, aarch64-linux-gnu-gcc",
         "sudo apt-get install --no-install-recommends qemu-system-arm"),
    ],
)  # fmt: skip
def test_without_the_sdk_or_qemu_it_says_what_to_install(tmp_path, monkeypatch, command, lacks, install):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    with pytest.raises(EnvironmentMissing, match=f"^{lacks}.*{install}"):
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
