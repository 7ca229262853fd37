"""Files written whole (a temporary name beside the target, then a rename), and read only where they are regular files."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from models.common.errors import DataError, StorageError

T = TypeVar("T")

NAME_BYTES = 255  # the longest name that the usual file systems hold

_FREE = "Free some space or choose another folder."
_OTHER = "Choose a folder that can be written."
# What went wrong and what to do about it; all other errors are given in the system's own words.
_STORAGE = {
    errno.ENOSPC: ("the disk is full", _FREE),
    errno.EDQUOT: ("the quota is used up", _FREE),
    errno.EFBIG: ("the file would be larger than is permitted there", _FREE),
    errno.EROFS: ("the file system is read-only", _OTHER),
    errno.EACCES: ("writing there is not permitted", _OTHER),
    errno.EPERM: ("writing there is not permitted", _OTHER),
    errno.ENOTDIR: ("a part of the path is a file", _OTHER),
    errno.EEXIST: ("a part of the path is a file", _OTHER),
    errno.ENOENT: ("a folder of that path does not exist and cannot be made", _OTHER),
    errno.EISDIR: ("a folder has that name", "Choose another name, or remove the folder."),
    errno.ENAMETOOLONG: ("a name of that path is too long", "Choose a shorter one."),
    errno.ELOOP: ("its links lead in a circle", _OTHER),
    errno.EINVAL: ("the system does not take such a name", "Choose another one."),
}
# What a write itself can fail with; such an error names no file.
_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}


def _storage_error(path: Path, error: OSError) -> StorageError:
    why, remedy = _STORAGE.get(error.errno, (error.strerror or str(error) or type(error).__name__, _OTHER))
    return StorageError(f"Cannot write {path}: {why}. {remedy}")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn every OSError of a block that only writes into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        raise _storage_error(path, error) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix) and rename it once the block ends well.

    An interrupted or failing block leaves `path` as it was. The temporary may become a file or a folder; a file never
    replaces a folder. Raises StorageError for what cannot be written; other errors of the block pass unchanged.
    """
    _require_target(path)
    temporary = path.with_name(_temporary_name(path))
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            yield temporary
        except OSError as error:
            if _is_of_writing(error, temporary):
                raise _storage_error(path, error) from error
            raise
        with storage_errors(path):
            if temporary.is_dir():  # rename replaces neither a folder that holds something nor a file by a folder
                remove(path)
            temporary.replace(path)
    finally:
        with suppress(OSError):  # it must not hide the block's own error; the next run sweeps what is left
            remove(temporary)


@contextmanager
def by_one(path: Path) -> Iterator[bool]:
    """Let one process at a time make a file or folder that takes long; yields whether it is still missing."""
    from filelock import FileLock  # only here: nox has a Python without it

    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield not path.exists()


def _require_target(path: Path) -> None:
    """Raise StorageError for a path that names no file that could be replaced."""
    if not path.name or path.name == ".." or "\0" in str(path):
        raise StorageError(f"Cannot write {str(path)!r}: that names no file. Choose another path.")
    with storage_errors(path):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):  # in a missing folder; making that reports what is wrong
            return
    # renaming onto a device would replace the device, for everybody
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or path.absolute().parent == Path("/dev"):
        msg = f"Cannot write {path}: it is {_kind(mode)}, which a file would replace. Choose another path."
        raise StorageError(msg)


def _temporary_name(path: Path) -> str:
    # The process id keeps two runs in one folder apart; the suffix stays last because converters look at it.
    end = f".{os.getpid()}.tmp{path.suffix}"
    name = f".{path.stem}{end}"
    if len(os.fsencode(name)) <= NAME_BYTES:
        return name
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]
    return f".{short}{end}" if len(os.fsencode(end)) < NAME_BYTES - len(short) else f".{short}.{os.getpid()}.tmp"


def _is_of_writing(error: OSError, temporary: Path) -> bool:
    """Tell whether an error in a block that writes is about the temporary, and not about something that it reads."""
    if error.filename is None:
        return error.errno in _WRITING
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    absolute = os.path.abspath(name)
    return absolute.startswith(os.path.abspath(temporary)) or absolute == os.path.abspath(temporary.parent)


def require_folder(path: Path) -> None:
    """Make a folder where there is none; raises StorageError where that is not possible."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def require_writable(path: Path) -> None:
    """Raise StorageError unless files can be written into a folder; it is made where there is none."""
    require_folder(path)
    probe = path / f".probe.{os.getpid()}.tmp"
    with storage_errors(path):
        probe.write_bytes(b"")
        remove(probe)


def stem(id: str) -> str:
    """Return an id as a file's name can hold it: a device's own name may hold anything, `../` among it."""
    return quote(id, safe="@")


def remove(path: Path) -> None:
    """Delete a file or a folder; one that is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete the temporaries of runs that were killed, in a folder and its folders; their process id is in the name."""
    for leftover in (*folder.glob(".*.tmp*"), *folder.glob("*/.*.tmp*")):
        name = re.fullmatch(r"\..*\.(\d+)\.tmp(\.[^.]*)?", leftover.name)
        if name and not _is_alive(int(name[1])):
            with suppress(OSError):  # another run may be sweeping too
                remove(leftover)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` whole."""
    with whole(path) as temporary, storage_errors(path):
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` whole as indented JSON; raises DataError for numbers that are not finite, which JSON has not."""
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        msg = f"{path} is not written: a figure in it is not finite ({error}). That is a defect of what computed it."
        raise DataError(msg) from error
    write_bytes(path, (text + "\n").encode())


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises OSError otherwise: a FIFO would wait for ever for somebody to write, and a device has no end.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(f"it is {_kind(mode)}, not a regular file")
    # without waiting, should it have become a FIFO since
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        # read(limit + 1) would allocate that much at once, more than a worker may have
        if os.fstat(file.fileno()).st_size <= limit and len(content := file.read()) <= limit:
            return content
    raise OSError(f"it is larger than {limit:,} bytes")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def while_unchanged(function: Callable[[Path], T]) -> Callable[[Path], T]:
    """Keep what a function makes of a file for as long as the file's time and size are the same; raises OSError."""
    cached = cache(lambda path, mtime_ns, size: function(path))

    @wraps(function)
    def current(path: Path) -> T:
        state = path.stat()
        return cached(path, state.st_mtime_ns, state.st_size)

    return current


def members(path: Path) -> tuple[Path, ...]:
    """Return the files of a folder in a fixed order, or the file itself."""
    return tuple(sorted(p for p in path.rglob("*") if p.is_file())) if path.is_dir() else (path,)


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all files of a folder."""
    return sum(p.stat().st_size for p in members(path))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content; of a folder, over its relative names and contents."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for member in members(path):
        digest.update(f"{member.relative_to(path).as_posix()}\0{sha256(member)}\n".encode())
    return digest.hexdigest()
