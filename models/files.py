"""Files written whole: a temporary name beside the target, then a rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from models.errors import StorageError

# The errnos that a person mends by choosing another folder or by freeing space.
_STORAGE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENOENT: "a folder cannot be made there",
    errno.ENAMETOOLONG: "a name in the path is too long",
    errno.ELOOP: "its links lead in a circle",
    errno.EISDIR: "there is a folder of that name",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a part of the path is a file",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError that a person can mend into a StorageError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STORAGE or (error.errno == errno.ENOENT and not _on_the_way(error.filename, path)):
            raise
        msg = f"Cannot write {path}: {_STORAGE[error.errno]}. Free some space or choose a folder that can be written."
        raise StorageError(msg) from error


def _on_the_way(name: Any, path: Path) -> bool:
    """Tell whether a file that is missing is `path`, above or below it: another one is missing for another reason."""
    missing = Path(os.fsdecode(name or ""))
    return missing in (path, *path.parents) or path in missing.parents


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix) and rename it once the block ends well.

    An interrupted or failing block leaves `path` as it was. The temporary may become a file or a folder.
    """
    # The process id keeps two runs in one folder apart; the suffix stays last because converters look at it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if path.is_dir() and not path.is_symlink():  # rename cannot replace a folder that holds something
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            remove(temporary)


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
    """Delete the temporaries of runs that were killed; their process id is in the name."""
    for leftover in tuple(folder.rglob(".*.tmp*")):
        pid = leftover.name.split(".tmp")[0].rsplit(".", 1)[-1]
        if pid.isdigit() and not _is_alive(int(pid)):
            remove(leftover)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` whole."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` whole as indented JSON."""
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


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
