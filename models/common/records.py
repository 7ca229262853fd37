"""Records: frozen msgspec structs that files hold; one reader, one writer, no NaN, no unchecked types."""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from models.common import files
from models.common.errors import DataError

MOST = 2**53  # what every JSON reader holds exactly
MOST_BYTES = 256 << 20  # of a record; a larger file is none of ours

Count = Annotated[int, Meta(ge=0, le=MOST)]
Positive = Annotated[int, Meta(ge=1, le=MOST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Magnitude = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]  # "" where there is none

T = TypeVar("T")

_MAKING = Lock()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every record inherits: fields are typed when a file is read and cannot be changed afterwards.

    msgspec does not inherit `kw_only`, so every record says it.
    """


@cache
def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of a kind of record.

    One thread at a time makes one: msgspec would let a second thread use the half-made description of a struct, and crash.
    """
    with _MAKING:
        return msgspec.json.Decoder(kind, strict=True)


def convert(content: Any, kind: type[T], *, from_attributes: bool = False) -> T:
    """Return a record made of builtins, or of another object's attributes; raises msgspec.ValidationError."""
    decoder(kind)
    return msgspec.convert(content, kind, strict=True, from_attributes=from_attributes)


def decode(content: bytes, kind: type[T], *, name: str, what: str, remedy: str) -> T:
    """Return the record in `content`; raises DataError that says where `name` is no `what` and what to type next."""
    try:
        return decoder(kind).decode(content)
    except (RecursionError, msgspec.MsgspecError, ValueError) as error:  # a field's own check raises ValueError
        why = "it is nested too deeply" if isinstance(error, RecursionError) else one_line(error)
        raise DataError(f"{name} is no {what} ({why}). {remedy}") from error


def read(file: Path, kind: type[T], *, what: str, remedy: str) -> T | None:
    """Return a file's record, None where there is no file; raises DataError for one that cannot be read as one."""
    try:
        if not (file.exists() or file.is_symlink()):  # a link to nothing is a broken record, not none
            return None
        if not file.is_file():
            raise DataError(f"{file} is no {what} (it is no regular file). {remedy}")
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{file} is no {what} (it has {file.stat().st_size:,} bytes). {remedy}")
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}). {remedy}") from error
    return decode(content, kind, name=str(file), what=what, remedy=remedy)


def encode(record: Any) -> bytes:
    """Return a record as indented JSON; raises ValueError for what its own reader would refuse, such as NaN."""
    content = msgspec.to_builtins(record)
    for path, number in _numbers(content, "$"):
        if not math.isfinite(number):
            raise ValueError(f"{path} is {number}")
    encoded = msgspec.json.encode(content)
    if isinstance(record, msgspec.Struct):  # whose fields are not checked when it is made
        decoder(type(record)).decode(encoded)
    return msgspec.json.format(encoded, indent=1) + b"\n"


def write(file: Path, record: Any) -> None:
    """Write a record whole."""
    files.write_bytes(file, encode(record))


def _numbers(content: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(content, float):
        yield path, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _numbers(value, f"{path}.{key}")
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield from _numbers(value, f"{path}[{i}]")


def one_line(error: Exception) -> str:
    """Return what an exception says, on one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
