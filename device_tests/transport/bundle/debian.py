"""Debian's C library and Python for another architecture, by apt, without root and without changing the system."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from models.common.errors import EnvironmentMissing

PYTHON = "python3.11"
MAGIC_NUMBER = (3495).to_bytes(2, "little") + b"\r\n"  # the magic number of its compiled files
PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5"),
)
LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libexpat.so.1", "libffi.so.8", "libbz2.so.1.0", "liblzma.so.5"),
)
# parts of the standard library that no runtime imports, and modules whose C libraries are not in the bundle
LEFT_OUT = (
    *("test", "unittest/test", "*/test", "*/tests", "idlelib", "lib2to3", "pydoc_data", "turtle*", "sitecustomize.py"),
    *(f"lib-dynload/{name}.*" for name in ("_crypt", "_curses*", "_dbm", "_hashlib", "_sqlite3", "_ssl", "_test*")),
    *(f"lib-dynload/{name}.*" for name in ("_uuid", "_xxtest*", "nis", "readline", "xx*")),
)


def install(folder: Path, *, architecture: str, triplet: str, loader: str) -> tuple[str, ...]:
    """Put Python into `folder`/usr and the libraries into `folder`/lib; return the packages as NAME=VERSION.

    Raises EnvironmentMissing where apt is missing or fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        packages = download(Path(temporary) / "packages", architecture, PACKAGES)
        system = Path(temporary) / "system"
        for package in packages:
            _run("dpkg-deb", "--extract", package, system)
        folders = [system / part / triplet for part in ("lib", "usr/lib")]
        (folder / "lib").mkdir()
        for name in (loader, *LIBRARIES):
            shutil.copy(next(at / name for at in folders if (at / name).exists()), folder / "lib" / name)
        (folder / "usr" / "bin").mkdir(parents=True)
        shutil.copy(system / "usr" / "bin" / PYTHON, folder / "usr" / "bin")
        library = folder / "usr" / "lib" / PYTHON
        shutil.copytree(system / "usr" / "lib" / PYTHON, library, ignore_dangling_symlinks=True)
        remove(library, LEFT_OUT)
        show = ("dpkg-deb", "--show", "--showformat=${Package}=${Version}")
        return tuple(_run(*show, package) for package in packages)


def remove(folder: Path, patterns: tuple[str, ...]) -> None:
    """Delete all that the globs match."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def download(folder: Path, architecture: str, packages: tuple[str, ...]) -> tuple[Path, ...]:
    """Download packages into `folder` and return their files.

    The system's own package lists, database and cache are neither read nor written.
    """
    state, cache = folder / "state", folder / "cache"
    for part in (state / "lists" / "partial", cache / "archives" / "partial"):
        part.mkdir(parents=True)
    (folder / "status").touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Sandbox::User": "",
        "Dir::State": state,
        "Dir::State::status": folder / "status",
        "Dir::Cache": cache,
    }
    apt = ("apt-get", "--quiet", *(part for name, value in settings.items() for part in ("-o", f"{name}={value}")))
    _run(*apt, "update", cwd=folder)
    _run(*apt, "download", *packages, cwd=folder)
    return tuple(sorted(folder.glob("*.deb")))


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    if not shutil.which(command[0]):
        msg = f"A bundle is made of Debian's packages, and there is no {command[0]}. Build it on Debian or Ubuntu."
        raise EnvironmentMissing(msg)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise EnvironmentMissing(
            f"{command[0]} fails: {last} A bundle needs the network and the package lists of Debian 12 (bookworm): "
            "where the system's are others, name some in a file and its path in APT_CONFIG."
        )
    return done.stdout
