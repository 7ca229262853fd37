"""The Android-shaped machine: a real arm64 Linux kernel under qemu, whose root holds only what adb needs of Android.

It is no Android: it has no framework, no bionic, no zygote. It shows that a bundle needs nothing but the kernel and a
folder to run in, as the user `shell`, and it fails in the ways in which a phone fails.
"""

import hashlib
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device_tests.transport.android import child, client
from device_tests.transport.bundle import debian
from models import data
from models.common import files
from models.common.errors import EdgewiseError, EnvironmentMissing

HERE = Path(__file__).parent
PORT = 15555  # the adb daemon's port on loopback; always the same, for it is part of the device's name
SERIAL = f"127.0.0.1:{PORT}"
QEMU, CPU, CPUS, MEMORY_MB, DATA_MB = "qemu-system-aarch64", "cortex-a76", 2, 1536, 768
COMPILER = "aarch64-linux-gnu-gcc"
BOOT_S = 120  # seconds; ten are usual, a busy machine needs more
BOOTED, ROOT = "kernel", "root.cpio"  # the files to boot from
KERNEL = "linux-image-cloud-arm64"  # depends on the one that it stands for
MODULES = ("virtio_ring", "virtio", "virtio_mmio", "virtio_console")
# the programs of Android's toybox that busybox has, too
TOOLS = """
awk base64 basename cat chmod cmp cp cut date dd df dirname du echo env expr false find free grep head id ifconfig insmod
kill killall ln ls md5sum mkdir mktemp mount mv netstat nice nohup od pgrep pidof pkill printf ps pwd readlink realpath rm
rmdir sed seq sh sha1sum sha256sum sleep sort split stat sync tail tar taskset tee test time timeout top touch tr true
truncate tty uname uniq uptime wc which whoami xargs yes
"""
INSTALL = (
    "On Debian and Ubuntu install what it needs with: sudo apt-get install --no-install-recommends "
    "qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross adb"
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A running machine, which is `serial` for adb through the server of this process."""

    serial: str
    process: subprocess.Popen
    boot_s: float
    moods: tuple[str, ...]


def require() -> None:
    """Raise EnvironmentMissing, with what to install, where the machine cannot be built or run."""
    missing = [tool for tool in (QEMU, COMPILER) if not shutil.which(tool)]
    if missing:
        raise EnvironmentMissing(f"The Android-shaped machine needs {', '.join(missing)}. {INSTALL}")
    client.program()


def build() -> Path:
    """Return the folder to boot from, built first if it is missing or its sources changed; raises EnvironmentMissing."""
    require()
    digest = hashlib.sha256()
    for file in (Path(__file__), *sorted(HERE.glob("*.sh")), HERE / "adbd.c"):
        digest.update(file.read_bytes())
    version = digest.hexdigest()[:16]
    target = data.cache_folder() / "machines" / version
    if not target.exists():
        with files.by_one(target) as missing:
            if missing:
                with files.whole(target) as folder, tempfile.TemporaryDirectory() as scratch:
                    folder.mkdir()
                    _fill(folder, Path(scratch), version)
    return target


@contextmanager
def running(*, port: int = PORT, moods: bool = False, data_mb: int = DATA_MB) -> Iterator[Machine]:
    """Run a machine with an adb server of its own; both end with the block, or with this process however it ends.

    `moods` adds two devices, one that trusts no computer and one that does not answer. Raises EnvironmentMissing where
    something is missing, EdgewiseError where the machine does not come up.
    """
    image = build()
    _require_free(port)
    ports = (port, *(client.free_port() for _ in range(2 if moods else 0)))
    with tempfile.TemporaryDirectory() as folder, client.server():
        console, log = Path(folder) / "console", Path(folder) / "log"
        began = time.monotonic()
        with child.running(_command(image, ports, console, data_mb), log=log) as process:
            _await(process, console, log)
            serial, *others = (f"127.0.0.1:{each}" for each in ports)
            client.connect(serial)
            yield Machine(serial=serial, process=process, boot_s=time.monotonic() - began, moods=tuple(others))


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            msg = f"Port {port} is taken ({error.strerror}), perhaps by another Android-shaped machine: end that first."
            raise EdgewiseError(msg) from error


def _command(image: Path, ports: tuple[int, ...], console: Path, data_mb: int) -> tuple[str, ...]:
    # the guest has no network at all, only a line per adb daemon
    lines: list[str] = []
    for i, port in enumerate(ports, start=1):
        lines += ("-chardev", f"socket,id=adb{i},host=127.0.0.1,port={port},server=on,wait=off,nodelay=on")
        lines += ("-device", f"virtserialport,chardev=adb{i},nr={i}")
    append = f"rdinit=/system/bin/init console=ttyAMA0 quiet panic=-1 data_mb={data_mb}"
    return (
        *(QEMU, "-M", "virt", "-cpu", CPU, "-smp", str(CPUS), "-m", str(MEMORY_MB)),
        *("-nodefaults", "-display", "none", "-serial", f"file:{console}", "-no-reboot"),
        *("-kernel", str(image / BOOTED), "-initrd", str(image / ROOT)),
        *("-append", append + (" moods=1" if len(ports) > 1 else "")),
        *("-device", "virtio-serial-device", *lines),
    )


def _await(process: subprocess.Popen, console: Path, log: Path) -> None:
    """Wait until the machine serves adb."""
    end = time.monotonic() + BOOT_S
    while not (console.exists() and b"adb is served" in console.read_bytes()):
        if process.poll() is not None:
            msg = f"{QEMU} ended before the machine was up: {child.last_words(log)} {child.last_words(console)}"
            raise EdgewiseError(msg)
        if time.monotonic() > end:
            msg = f"The Android-shaped machine did not serve adb within {BOOT_S} s: {child.last_words(console)}"
            raise EdgewiseError(msg)
        time.sleep(0.1)


def _fill(image: Path, scratch: Path, version: str) -> None:
    """Put the kernel and the root into the folder to boot from."""
    system = scratch / "system"
    (stands_for,) = debian.download(scratch / "meta", "arm64", (KERNEL,))
    kernel = _run("dpkg-deb", "--field", stands_for, "Depends").split()[0]
    for package in debian.download(scratch / "packages", "arm64", (kernel, "busybox-static")):
        _run("dpkg-deb", "--extract", package, system)
    shutil.copy(next((system / "boot").glob("vmlinuz-*")), image / BOOTED)
    _run(COMPILER, "-std=gnu17", "-O2", "-Wall", "-Werror", "-static", "-s", "-o", scratch / "adbd", HERE / "adbd.c")
    modules = {path.stem: path for path in (system / "lib" / "modules").rglob("*.ko")}
    held = {
        "system/bin/busybox": (system / "bin" / "busybox").read_bytes(),
        "system/bin/adbd": (scratch / "adbd").read_bytes(),
        "system/bin/init": (HERE / "init.sh").read_bytes(),
        "system/bin/getprop": (HERE / "getprop.sh").read_bytes(),
        "system/build.prop": _properties(kernel, version).encode(),
        "system/lib/modules/order": " ".join(MODULES).encode(),
        **{f"system/lib/modules/{name}.ko": modules[name].read_bytes() for name in MODULES},
    }
    (image / ROOT).write_bytes(_archive(held))


def _properties(kernel: str, version: str) -> str:
    properties = {
        "ro.product.manufacturer": "Edgewise",
        "ro.product.model": "Android-shaped machine",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a",
        "ro.build.version.release": "none",  # it is no Android
        "ro.build.fingerprint": f"edgewise/android-vm/{version}/{kernel}",
        "ro.hardware": "qemu-virt",
        "ro.kernel.qemu": "1",
        "sys.boot_completed": "1",
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _archive(held: dict[str, bytes]) -> bytes:
    """Return an initial root file system in the kernel's `newc` format, with the files and links to the tools.

    https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
    """
    folders = ("data", "data/local", "data/local/tmp", "dev", "proc", "sys", "system", "system/bin", "system/lib")
    members = [(name, stat.S_IFDIR | 0o755, (0, 0), b"") for name in (*folders, "system/lib/modules")]
    members.append(("dev/console", stat.S_IFCHR | 0o600, (5, 1), b""))  # where the first program may speak
    for name, content in held.items():
        members.append((name, stat.S_IFREG | (0o755 if "/bin/" in name else 0o644), (0, 0), content))
    members += [(f"system/bin/{tool}", stat.S_IFLNK | 0o777, (0, 0), b"busybox") for tool in TOOLS.split()]
    members.append(("TRAILER!!!", 0, (0, 0), b""))
    parts = []
    for i, (name, mode, (major, minor), content) in enumerate(members):
        fields = (i, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0"
        parts += (_padded(head), _padded(content))
    return b"".join(parts)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentMissing(f"{command[0]} fails: {done.stderr.strip()[-500:]} {INSTALL}")
    return done.stdout
