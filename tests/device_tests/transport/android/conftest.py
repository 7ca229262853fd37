"""One Android-shaped machine for all tests, and bundles so small that a shell script stands for Python."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_tests.contract import Job
from device_tests.devices.adb import Phone, device
from device_tests.transport.android import client, conditions, machine
from device_tests.transport.bundle import ABIS, Bundle
from models.common import files
from tests import programs

OK = """echo '{"outcome": "ok", "reason": "", "notes": [], "environment": {"python": "none"}}'"""


@pytest.fixture(scope="session")
def started() -> Iterator[machine.Machine]:
    """A machine with little room, beside a device that trusts nobody and one that does not answer."""
    machine.build()
    with machine.running(port=client.free_port(), moods=True, data_mb=320) as running:
        yield running


@pytest.fixture
def phone(started: machine.Machine, tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Return a maker of phones, this machine each, whose bundle's Python is a shell script."""
    phones: list[Phone] = []

    def make(
        script: str = OK,
        *,
        name: str = "arm64-test",
        serial: str = started.serial,
        blob: bytes = b"",
        core: str = conditions.BIG,
    ) -> Phone:
        folder = tmp_path / name
        programs.script(folder / "lib" / ABIS["arm64"].loader, script, shell="/system/bin/sh")
        (folder / "blob").write_bytes(blob)
        phone = device(f"android:{serial}+{core}")
        digest = files.sha256(folder)
        vars(phone)["_bundle"] = Bundle(path=folder, abi="arm64", digest=digest, packages=(), sites={"litert": ()})
        phones.append(phone)
        return phone

    yield make
    for each in phones:
        if each.client.is_there:
            each.clean()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose files hold nothing of use, which a script does not mind."""
    sources = {name: tmp_path / f"a.{name}" for name in ("tflite", "json", "npz")}
    for source in sources.values():
        source.write_bytes(source.name.encode())
    return Job(runtime="litert", artifact=sources["tflite"], sidecar=sources["json"], reference=sources["npz"],
               images=10, latency_s=0, timeout_s=30)  # fmt: skip
