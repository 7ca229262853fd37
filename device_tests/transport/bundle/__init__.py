"""Bundles: self-contained folders that run the worker on a Linux kernel with nothing installed, one per ABI.

A bundle holds Debian's C library with its loader, Python, and the runtimes' published wheels at the desktop's pins. It
has no symbolic links, for some ways to a device lose them. The worker is not in it, because it changes more often.
"""

import compileall
import hashlib
import importlib.util
import json
import py_compile
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from device_tests.contract import Command
from device_tests.onboard import runtimes
from device_tests.transport.bundle import debian, executorch, wheels
from models import data
from models.common import environments, files
from models.common.errors import DataError, EnvironmentMissing

MANIFEST = "bundle.json"
EXECUTORCH = "executorch"  # without PyTorch, in a version of its own
RUNTIMES = ("litert", "litert_compiled", "onnxruntime", "tflite_runtime", EXECUTORCH, "openvino", "ncnn")


@dataclass(frozen=True, kw_only=True)
class Abi:
    """The names of a processor's architecture: `name` is Android's, the others are Debian's, gcc's and PyPI's."""

    name: str
    debian: str
    triplet: str
    loader: str
    machine: str


ABIS = {
    abi.name: abi
    for abi in (
        Abi(
            name="arm64", debian="arm64", triplet="aarch64-linux-gnu", loader="ld-linux-aarch64.so.1", machine="aarch64"
        ),
        Abi(name="x86_64", debian="amd64", triplet="x86_64-linux-gnu", loader="ld-linux-x86-64.so.2", machine="x86_64"),
    )
}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A built bundle: `digest` is of its files, `packages` are Debian's, `sites` holds each runtime's wheels."""

    path: Path
    abi: str
    digest: str
    packages: tuple[str, ...]
    sites: dict[str, tuple[str, ...]]

    @property
    def runtimes(self) -> tuple[str, ...]:
        return tuple(self.sites)

    def pins(self, runtime: str) -> tuple[str, ...]:
        """Return what a runtime's logits depend on; results of another installation are stale."""
        code = (executorch.SOURCE, executorch.RUNTIME) if runtime == EXECUTORCH else ()
        return (*self.packages, *self.sites[runtime], *map(files.sha256, code))

    def command(self, runtime: str, *, root: str | None = None) -> Command:
        """Return the command that starts Python for a runtime; a program and its arguments follow.

        `root` is where the bundle lies on the device, None for this machine.
        """
        home = PurePosixPath(root or self.path)
        loader, python = home / "lib" / ABIS[self.abi].loader, home / "usr/bin" / debian.PYTHON
        env = {
            "PYTHONHOME": str(home / "usr"),
            "PYTHONPATH": ":".join(str(home / "site" / wheel) for wheel in self.sites[runtime]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # -S: `site` would add folders outside the bundle
        return Command(argv=(str(loader), "--library-path", str(home / "lib"), str(python), "-S"), env=env)


def program(runtime: str) -> Path:
    """Return the runtime's file that the worker gets with a bundle."""
    return executorch.RUNTIME if runtime == EXECUTORCH else runtimes.RUNTIMES.path(runtime)


def require(abi: str, runtime: str) -> None:
    """Raise EnvironmentMissing where no bundle with the runtime can be built here."""
    if runtime == EXECUTORCH:
        executorch.require(ABIS[abi].triplet)


def available(abi: str) -> tuple[str, ...]:
    """Return the runtimes of a bundle that is built here."""
    names = []
    for runtime in RUNTIMES:
        with suppress(EnvironmentMissing):
            require(abi, runtime)
            names.append(runtime)
    return tuple(names)


def build(abi: str, *, only: tuple[str, ...] = ()) -> Bundle:
    """Return the bundle of an ABI with all available runtimes or some, built first if it is missing or stale.

    Raises EnvironmentMissing where a tool or the network is missing.
    """
    target = path(abi, only)
    if not (target / MANIFEST).exists():
        if importlib.util.MAGIC_NUMBER != debian.MAGIC_NUMBER:
            msg = f"A bundle is compiled with the Python that is in it, {debian.PYTHON}; this is {sys.version.split()[0]}."
            raise EnvironmentMissing(msg)
        with files.by_one(target) as missing:
            if missing:
                with files.whole(target) as folder:
                    folder.mkdir()
                    _fill(folder, ABIS[abi], only or available(abi))
    return load(target)


def load(folder: Path) -> Bundle:
    """Read a built bundle; raises DataError where there is none."""
    try:
        content = json.loads((folder / MANIFEST).read_text())
        sites = {name: tuple(wheels) for name, wheels in content["sites"].items()}
        packages = tuple(content["packages"])
        return Bundle(path=folder, abi=content["abi"], digest=content["digest"], packages=packages, sites=sites)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{folder} is no bundle ({type(error).__name__}: {error}). Delete it and build it: python -m device_tests bundle"
        raise DataError(msg) from error


def path(abi: str, only: tuple[str, ...] = ()) -> Path:
    """Return where the bundle is or will be; its name holds a digest of its inputs."""
    held = only or available(abi)
    digest = hashlib.sha256(" ".join((abi, *held)).encode())
    for file in (*map(_constraints, held), *sorted(Path(__file__).parent.glob("*.py")), executorch.SOURCE):
        digest.update(file.read_bytes())
    return data.cache_folder() / "bundles" / f"{abi}-{digest.hexdigest()[:16]}"


def _fill(folder: Path, abi: Abi, held: tuple[str, ...]) -> None:
    packages = debian.install(folder, architecture=abi.debian, triplet=abi.triplet, loader=abi.loader)
    sites = {}
    for name in held:
        require(abi.name, name)
        unpacked = partial(executorch.compile_interface, triplet=abi.triplet) if name == EXECUTORCH else None
        sites[name] = wheels.install(folder / "site", _constraints(name), machine=abi.machine, unpacked=unpacked)
    # Unchecked: a file's date may be lost on the way to the device. stripdir hides where it was compiled.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(folder, maxlevels=20, quiet=1, stripdir=str(folder), invalidation_mode=mode):
        raise EnvironmentMissing(f"Python does not compile what is in {folder}.")
    content = {"abi": abi.name, "digest": files.sha256(folder), "packages": packages, "sites": sites}
    files.write_json(folder / MANIFEST, content)


def _constraints(runtime: str) -> Path:
    name = "executorch_native" if runtime == EXECUTORCH else runtime
    return environments.ROOT / "constraints" / f"{name}.txt"
