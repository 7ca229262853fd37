"""Emulated Arm cores: what they see of this machine, and what is said where one cannot be had."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_tests import devices
from device_tests.contract import Job, Load
from device_tests.devices import arm64
from device_tests.schedule import Turns
from device_tests.transport import bundle
from models import data
from models.common import files
from models.common.errors import EnvironmentMissing
from tests import programs

CPUINFO = "processor\t: 0\nCPU implementer\t: 0x41\n"
# Stands for qemu: it knows two cores, and says of a worker what it is told to say.
QEMU = """
case "$*" in
  -h) echo "{help}" ;;
  --version) echo "qemu-aarch64 version {version} (Debian)" ;;
  "-cpu help") printf 'Available CPUs:\\n  cortex-a53\\n  max\\n'; exit 1 ;;
  *_cpuinfo.py*) printf 'processor\\t: 0\\nCPU implementer\\t: 0x41\\n' ;;
  *) echo "$*" > {arguments}; echo "{warning}" >&2
     echo '{{"outcome": "ok", "reason": "", "notes": [], "environment": {{}}}}' ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with an emulator that only says so, and a bundle that holds only one runtime's name."""

    folder: Path

    def qemu(self, *, version: str = "7.2.22", warning: str = "INFO: XNNPACK", help: str = "-plugin file") -> None:
        code = QEMU.format(version=version, warning=warning, help=help, arguments=self.folder / "arguments")
        programs.script(self.folder / "qemu-aarch64", code)

    def run(self, core: str) -> dict:
        file = self.folder / "artifact"
        job = Job(runtime="litert", artifact=file, sidecar=file, reference=file, images=0, latency_s=0, timeout_s=20)
        return arm64.Core(core).run(job, Turns(1))

    @property
    def arguments(self) -> str:
        return (self.folder / "arguments").read_text()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    content = {"abi": "arm64", "digest": "d", "packages": ["libc6=1"], "sites": {"litert": ["numpy-2.4.6"]}}
    files.write_json(bundle.path("arm64") / bundle.MANIFEST, content)
    stand_in = Machine(folder=tmp_path)
    stand_in.qemu()
    return stand_in


def test_the_guest_is_given_an_arm_cpuinfo_and_never_the_hosts(machine):
    every = [devices.device(name) for name in arm64.NAMES]
    assert [(each.name, each.emulated) for each in every] == [(name, True) for name in arm64.NAMES]
    row = machine.run("cortex-a53")
    assert row["outcome"] == "ok"
    assert row["environment"]["emulator"] == "qemu-aarch64 version 7.2.22 (Debian) -cpu cortex-a53"
    shown = Path(machine.arguments.split("-L ")[1].split()[0])
    assert (shown / "proc" / "cpuinfo").read_text() == CPUINFO
    assert shown.is_relative_to(data.cache_folder())


@pytest.mark.parametrize(
    "warning",
    [
        "Error in cpuinfo: failed to parse the list of possible processors in /sys/devices",
        "Warning in cpuinfo: unknown ARM CPU part 0x0 ignored",
        "onnxruntime cpuid_info warning: Unknown CPU vendor. cpuinfo_vendor value: 0",
    ],
)
def test_a_cpuinfo_warning_fails_the_cell(machine, warning):
    machine.qemu(warning=warning)
    row = machine.run("cortex-a53")
    assert row["outcome"] == "run_failed"
    assert warning in row["reason"]


@pytest.mark.parametrize(("version", "model"), [("7.2.22", "max,sme=off"), ("10.0.2", "max"), ("unknown", "max")])
def test_sme_is_left_out_where_qemu_computes_it_wrongly_and_the_row_says_so(machine, version, model):
    machine.qemu(version=version)
    notes = machine.run("max")["notes"]
    assert f"-cpu {model} " in machine.arguments
    assert any("without SME" in note for note in notes) == ("SME" in str(notes)) == (model != "max")


def test_another_emulator_makes_results_stale_and_one_without_plugins_counts_nothing(machine):
    before = arm64.Core("cortex-a53").pins("litert")
    assert arm64.Core("cortex-a53").pins("litert") == before
    file = machine.folder / "artifact"
    load = Load(runtime="litert", artifact=file, sidecar=file, timeout_s=20)
    core = arm64.Core("cortex-a53")
    assert "-plugin" in core.counted(load, file, file).argv
    machine.qemu(version="10.0.2", help="-cpu model")
    assert arm64.Core("cortex-a53").pins("litert") != before
    with pytest.raises(EnvironmentMissing, match="takes no plugins"):
        core.counted(load, file, file)


@pytest.mark.parametrize(
    ("removed", "core", "runtime", "message"),
    [
        ("qemu-aarch64", "cortex-a53", "litert", "sudo apt-get install qemu-user"),
        ("nothing", "cortex-a710", "litert", r"7.2.22.* emulates no cortex-a710; it has cortex-a53, max"),
        (bundle.MANIFEST, "cortex-a53", "litert", r"devices\(arm64\)"),
        ("nothing", "cortex-a53", "onnxruntime", "holds no onnxruntime"),
    ],
    ids=["no qemu", "unknown core", "no bundle", "not in the bundle"],
)
def test_what_is_missing_is_named_with_what_to_do(machine, removed, core, runtime, message):
    for file in machine.folder.rglob(removed):
        file.unlink()
    with pytest.raises(EnvironmentMissing, match=message):
        arm64.Core(core).require(runtime)


@pytest.mark.needs("qemu-aarch64", "apt-get")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("core", "part", "features"),
    [
        ("cortex-a53", "0xd03", set()),
        ("cortex-a72", "0xd08", set()),
        ("cortex-a76", "0xd0b", {"asimddp"}),
        ("max", "", {"asimddp", "sve", "i8mm", "bf16"}),
    ],
)
def test_a_core_knows_itself_and_nothing_of_this_machines_processor(core, part, features):
    bundle.build(arm64.ABI)
    device = arm64.Core(core)
    try:
        device.require("litert")
    except EnvironmentMissing as error:
        programs.absent(str(error))
    python = device.python("litert")
    argv = [*python.argv, "-c", "print(open('/proc/cpuinfo').read())"]
    cpuinfo = subprocess.check_output(argv, env={**os.environ, **python.env}, text=True)
    assert f"CPU part\t: {part}" in cpuinfo
    assert {"asimddp", "sve", "i8mm", "bf16"} & set(cpuinfo.split()) == features
    assert "model name" not in cpuinfo
    assert "flags" not in cpuinfo


def test_an_emulator_that_fails_is_missing_and_says_its_last_words(machine):
    dies = (
        'case "$*" in *_cpuinfo.py*) echo "Illegal instruction" >&2; exit 132;; --version) echo "qemu version 7";; esac'
    )
    dead = "cannot emulate cortex-a53 with the bundle .*: Illegal instruction"
    for script, message in ((dies, dead), ("exit 1", "does not tell its version")):
        programs.script(machine.folder / "qemu-aarch64", script)
        with pytest.raises(EnvironmentMissing, match=message):
            arm64.Core("cortex-a53").pins("litert")
    (machine.folder / "qemu-aarch64").write_bytes(b"\x7fELF no program")
    with pytest.raises(EnvironmentMissing, match="does not start: Exec format error"):
        arm64.Core("cortex-a53").require("litert")
