"""What the command says where there is nothing to start."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from device_tests.commands.android import android as group
from device_tests.transport.android import machine
from models.common import console
from models.common.errors import EnvironmentMissing, UsageError

ROOT = Path(__file__).parents[4]


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no program at all."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_HOME", raising=False)


@pytest.mark.parametrize(
    ("command", "lacks", "install"),
    [
        ("phone", "ANDROID_HOME is not set", "sdkmanager"),
        ("vm", "The Android-shaped machine needs qemu-system-aarch64, aarch64-linux-gnu-gcc",
         "sudo apt-get install --no-install-recommends qemu-system-arm"),
    ],
)  # fmt: skip
def test_without_the_sdk_or_qemu_a_run_is_an_error_that_says_what_to_install(nothing, command, lacks, install):
    done = CliRunner().invoke(group, [command, "--quick"])
    assert isinstance(done.exception, EnvironmentMissing)
    assert str(done.exception).startswith(lacks)
    assert install in str(done.exception)


@pytest.mark.parametrize("command", ["phone", "vm"])
def test_arguments_are_looked_at_before_anything_is_started(nothing, monkeypatch, command):
    monkeypatch.setenv(console.ONLY_PARSE, "1")
    assert CliRunner().invoke(group, [command, "--only", "torch_cnn_small-*"]).exit_code == 0
    typo = CliRunner().invoke(group, [command, "--only", "torch_cnn_smal-*"])
    assert "matches no cell" in str(typo.exception)


def test_only_what_adb_reaches_is_cleaned_with_it():
    done = CliRunner().invoke(group, ["phone", "--clean", "--device", "desktop"])
    assert isinstance(done.exception, UsageError)
    assert "desktop is not reached over adb" in str(done.exception)


def test_listing_starts_no_machine(nothing, monkeypatch):
    monkeypatch.setattr(machine, "running", None)
    done = CliRunner().invoke(group, ["vm", "--list", "--only", "torch_cnn_small-tflite-int8"])
    assert done.exit_code == 0
    assert done.output.split() == [f"torch_cnn_small-tflite-int8@litert@android:{machine.SERIAL}"]


@pytest.mark.slow
def test_a_device_is_cleaned_by_the_command(started, phone):
    phone().client.shell("mkdir -p /data/local/tmp/edgewise/bundles/old")
    command = ("device_tests", "android", "phone", "--clean", "--device", f"android:{started.serial}")
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, f"Removed all of Edgewise from android:{started.serial}")
    assert phone().client.shell("ls -A /data/local/tmp").strip() == ""
