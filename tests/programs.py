"""What tests need of the system beside Python and git, what stands for it, and what becomes of a test where it is not there.

`@pytest.mark.needs("sshd", "ssh")` skips a test where one of the programs is missing and says how to install it. With
EDGEWISE_TESTS_REQUIRE=all, as CI sets it once everything is installed, a test that would be skipped fails instead.
"""

import os
import select
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRE = "EDGEWISE_TESTS_REQUIRE"

# Debian's and Ubuntu's packages, by program.
PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "adb": "adb",
    "apt-get": "apt, as Debian and Ubuntu have it",
    "cc": "gcc libc6-dev",
    "chromium": "chromium",
    "javac": "default-jdk-headless",
    "node": "nodejs",
    "npm": "nodejs npm",
    "qemu-aarch64": "qemu-user",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-x86_64": "qemu-user",
    "setsid": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "strip": "binutils",
}
ALSO = {"chromium": ("google-chrome",)}  # what serves as well
# A fixture that starts programs needs them for every test that takes it, by itself or through another one.
FIXTURES = {
    "browser_type_launch_args": ("chromium",),
    "built": ("npm",),
    "hostile": ("npm",),
    "server": ("sshd", "ssh", "ssh-keygen"),
    "started": ("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "adb"),
}


def find(program: str) -> str | None:
    """Return where a program is, also where Debian keeps those of root's; None where it is not installed."""
    places = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))
    for name in (program, *ALSO.get(program, ())):
        if path := shutil.which(name) or (shutil.which(name, path=places) if name == "sshd" else None):
            return str(Path(path).absolute())
    return None


def script(path: Path, code: str, shell: str = "/bin/sh") -> Path:
    """Write a shell script that stands for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{shell}\n{code}\n")
    path.chmod(0o755)
    return path


def ends(pid: int) -> bool:
    """Wait at most 10 s until a process is gone, or dead and not yet reaped; return whether it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor, "rb", buffering=0):
        return bool(select.select([descriptor], [], [], 10)[0])


def absent(reason: str) -> NoReturn:
    """Skip a test for what is not there; fail it where everything has to be there."""
    if os.environ.get(REQUIRE) == "all":
        pytest.fail(f"{REQUIRE}=all, but it {reason}", pytrace=False)
    pytest.skip(reason)


def require(programs: tuple[str, ...]) -> None:
    """Skip or fail a test for the first of the programs that is missing."""
    for program in programs:
        if find(program) is None:
            absent(f"needs {program}: apt-get install {PACKAGES[program]}")


def mark(item: pytest.Item) -> None:
    """Mark a test with what its fixtures need, so that `-m needs` chooses it."""
    for fixture in FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.needs(*FIXTURES[fixture]))
