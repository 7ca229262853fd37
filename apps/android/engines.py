"""The engines that the app can hold: where each comes from, and what of its archive goes into an APK."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from apps.android import jars, versions
from models.common import files
from models.common.errors import DataError, UsageError, did_you_mean

LARGE_PAGE = 0x4000  # of newer phones
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine of the matrix: its Java source, the packages that native code reaches by name, and what `--aar` leaves.

    `beside` are libraries of its bundle that an archive on disk does not replace.
    """

    source: str
    keep: tuple[str, ...]
    beside: tuple[str, ...] = ()


ENGINES = {
    "litert": Engine(source="LiteRt", keep=("org.tensorflow.lite.**",)),
    "onnxruntime": Engine(source="OnnxRuntime", keep=("ai.onnxruntime.**",)),
    "executorch": Engine(
        source="ExecuTorch",
        keep=("org.pytorch.executorch.**", "com.facebook.jni.**", "com.facebook.soloader.**"),
        beside=("fbjni", "nativeloader", "kotlin-stdlib"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """An engine that is here: class files, and by ABI its libraries' contents by name."""

    id: str
    coordinates: str
    version: str
    classes: tuple[Path, ...]
    libraries: Mapping[str, Mapping[str, bytes]]
    unpinned: tuple[str, ...]
    abis: tuple[str, ...] = ABIS  # that the engine's own archive has libraries for

    @property
    def engine(self) -> Engine:
        return ENGINES[self.id]

    def small_pages(self, abi: str) -> tuple[str, ...]:
        """Return the libraries that do not load where pages have 16 kB; no phone of 32 bits has such pages."""
        if abi == "armeabi-v7a":
            return ()
        libraries = self.libraries.get(abi, {})
        return tuple(name for name, content in libraries.items() if _alignment(content, name) < LARGE_PAGE)


def _alignment(library: bytes, name: str) -> int:
    """Return the smallest alignment of a library's loaded segments, in bytes; raises DataError for what is no library."""
    try:
        return min(segment["p_align"] for segment in ELFFile(io.BytesIO(library)).iter_segments("PT_LOAD"))
    except (ELFError, ValueError, OverflowError) as error:
        raise DataError(f"{name} is no shared library ({error}). Take the engine's own archive.") from error


def chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the engines that are named, all for none; raises UsageError for one that there is not."""
    for name in names:
        if name not in ENGINES:
            raise UsageError(f"There is no engine called {name!r}. {did_you_mean(name, ENGINES)}")
    return tuple(name for name in ENGINES if not names or name in names)


def on_disk(options: tuple[str, ...]) -> dict[str, tuple[Path, ...]]:
    """Return the archives of `--aar ENGINE=FILE` by engine; raises UsageError for what makes no sense."""
    archives: dict[str, tuple[Path, ...]] = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not equals or not file:
            msg = f"--aar {option!r} is not ENGINE=FILE, for example --aar onnxruntime=onnxruntime-android.aar"
            raise UsageError(msg)
        chosen((name,))
        if not Path(file).is_file():
            raise UsageError(f"There is no file {file} for --aar {name}=. Name an archive (.aar) of the engine.")
        archives[name] = (*archives.get(name, ()), Path(file))
    return archives


def resolve(name: str, archives: tuple[Path, ...], scratch: Path) -> Resolved:
    """Return an engine from archives on disk, or from its official coordinates; raises NotServed, DataError."""
    bundle = versions.bundle(name)
    to_fetch = tuple(one for one in bundle if not archives or one.alias in ENGINES[name].beside)
    fetched = jars.fetch(name, to_fetch) if to_fetch else ()
    paths = (*archives, *(jar.path for jar in fetched))
    folder = scratch / name
    files.remove(folder)
    classes = tuple(filter(None, (_classes(path, folder) for path in paths)))
    libraries: dict[str, dict[str, bytes]] = {}
    for path in paths:
        for abi, content in _libraries(path).items():
            libraries.setdefault(abi, {}).update(content)
    first = bundle[0]
    # what lies beside the engine has libraries for more ABIs than it may have itself
    own = archives or tuple(j.path for j in fetched if j.path.name.startswith(f"{first.name}-{first.version}."))
    abis = tuple(abi for abi in ABIS if any(abi in _libraries(path) for path in own))
    if not abis:
        raise DataError(
            f"{', '.join(path.name for path in own)} has no library of {name} for any of {', '.join(ABIS)}. Take the engine's "
            f"archive for Android, {first.coordinates}: an .aar with jni/ABI/lib....so"
        )
    version = f"{archives[0].name}, SHA-256 {files.sha256(archives[0])[:12]}" if archives else first.version
    unpinned = tuple(jar.path.name for jar in fetched if not jar.pinned)
    return Resolved(id=name, coordinates=first.coordinates, version=version, classes=classes, libraries=libraries,
                    unpinned=unpinned, abis=abis)  # fmt: skip


def _classes(path: Path, folder: Path) -> Path | None:
    """Return the jar of an archive's classes; a jar is its own."""
    if path.suffix == ".jar":
        return path
    target = folder / f"{path.stem}.jar"
    with _opened(path) as archive:
        if "classes.jar" not in archive.namelist():
            return None
        files.write_bytes(target, archive.read("classes.jar"))
    return target


def _libraries(path: Path) -> dict[str, dict[str, bytes]]:
    libraries: dict[str, dict[str, bytes]] = {}
    with _opened(path) as archive:
        for name in sorted(archive.namelist()):
            parts = name.split("/")
            if len(parts) == 3 and parts[0] == "jni" and parts[1] in ABIS and parts[2].endswith(".so"):
                libraries.setdefault(parts[1], {})[parts[2]] = archive.read(name)
    return libraries


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        msg = f"{path} is no archive of an engine ({error}). An .aar is a zip file with classes.jar and jni/."
        raise DataError(msg) from error
