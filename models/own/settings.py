"""edgewise.toml: settings of the networks in a folder, which artifacts to make of them, and the user's own schemes."""

import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from models.common import files, records
from models.common.errors import DataError, did_you_mean
from models.common.records import Record

T = TypeVar("T", bound=Record)

FILE = "edgewise.toml"
MOST_BYTES = 1 << 20
BASES = ("float32", "float16", "dynamic_int8", "int8", "int8_io", "int16x8", "int4", "palette6", "palette4", "qat_int8")
DYNAMIC = "dynamic"  # a batch of any size
WORDS = {"object": "a table", "array": "a list", "str": "a text", "int": "a whole number", "bool": "true or false", "float": "a number"}  # fmt: skip


class NetworkSettings(Record, kw_only=True, forbid_unknown_fields=True):
    """Settings of one network: `labels` are the classes' names."""

    labels: tuple[str, ...] = ()


class Options(Record, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Options of a scheme beside its base; None leaves the choice to the format.

    `batch` is how many images an artifact takes at once, or `dynamic` for any number. `calibration` is the method that
    finds ranges, on so many `images`. `granularity` is that of scales; `symmetric` ranges of activations have zero in their
    middle. `block` is how many 4-bit weights share a scale, `keep_float` are globs of operators that stay in float, and
    `steps` are those of fine-tuning;
    `rewrites` tells whether the converted file is rewritten (export/rewrites/).
    """

    batch: Annotated[int, Meta(ge=1, le=256)] | Literal["dynamic"] | None = None
    calibration: Literal["minmax", "percentile", "mse"] | None = None
    images: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    granularity: Literal["per_channel", "per_tensor"] | None = None
    symmetric: bool | None = None
    block: Literal[16, 32, 64, 128, 256] | None = None
    keep_float: tuple[str, ...] | None = None
    steps: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    rewrites: bool | None = None

    @property
    def given(self) -> dict[str, object]:
        """The options that are set, by name."""
        return {name: value for name in Options.__struct_fields__ if (value := getattr(self, name)) is not None}


class SchemeSettings(Options, kw_only=True, forbid_unknown_fields=True):
    """A scheme: a built-in one, with options."""

    base: Literal[BASES]


class Settings(Record, kw_only=True, forbid_unknown_fields=True):
    """`labels` of all networks, globs of the `recipes` to make (MODEL-FORMAT-SCHEME, all where there are none), and more by name."""

    labels: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    networks: dict[str, NetworkSettings] = {}
    schemes: dict[str, SchemeSettings] = {}

    def labels_of(self, model: str) -> tuple[str, ...]:
        """Return the names of a network's classes, () if none are set."""
        network = self.networks.get(model)
        return (network.labels if network else ()) or self.labels


def load(folder: Path) -> Settings:
    """Return the settings of a folder, empty ones without a file; raises DataError that names the mistake."""
    path = folder / FILE
    try:
        return _load(path) if path.exists() or path.is_symlink() else Settings()
    except OSError as error:  # such as of a link to nothing
        raise DataError(f"{path} cannot be read: {error.strerror}. Restore it, or remove it.") from error


@files.while_unchanged
def _load(path: Path) -> Settings:
    settings = read(path, Settings)
    for name in settings.schemes:
        if name in BASES or not re.fullmatch(r"[A-Za-z0-9_]+", name):
            of_ours, no_word = "is the name of one of Edgewise's own", "is no word of letters, digits and underscores"
            why = of_ours if name in BASES else no_word
            raise DataError(f"{path} cannot be used: the scheme {name!r} {why}. Give it another name.")
    return settings


def read(path: Path, kind: type[T]) -> T:
    """Return the record that a TOML file holds; raises DataError that says where the mistake is and what may stand there."""
    try:
        content = tomllib.loads(files.read_bytes(path, MOST_BYTES).decode("utf-8-sig"))
        _check(content, kind, "")
        return records.convert(content, kind)
    except (OSError, ValueError, RecursionError) as error:  # tomllib's, msgspec's and ours
        reason = str(error) if str(error).endswith(("?", ".")) else f"{error}."
        raise DataError(f"{path} cannot be used: {reason} See docs/your-own-network.md.") from error


def _check(content: Mapping[str, Any], kind: type[Record], table: str) -> None:
    """Raise ValueError that names the first entry which `kind` does not have, or whose value it does not take."""
    hints = get_type_hints(kind, include_extras=True)
    where = f"in [{table}]" if table else "at the top"
    for name, value in content.items():
        if name not in hints:
            raise ValueError(f"there is no {name!r} {where}. {did_you_mean(name, hints)}")
        of_tables = get_args(hints[name])[-1] if get_origin(hints[name]) is dict else None
        if of_tables and isinstance(value, dict):
            for key, entry in value.items():
                if not isinstance(entry, dict):
                    raise ValueError(f"{name}.{key} is no table: write [{name}.{key}]")
                _check(entry, of_tables, f"{name}.{key}")
            continue
        try:
            records.convert(value, hints[name])
        except msgspec.ValidationError as error:
            reason, _, _ = str(error).partition(" - at ")
            reason = re.sub(r"`([a-z]+)( \| null)?`", lambda match: WORDS.get(match[1], match[1]), reason)
            may_be = _may_be(hints[name], value) or f": {reason}"
            raise ValueError(f"{name} {where} is {repr(value)[:60]}{may_be}") from error
    missing = [f.name for f in msgspec.structs.fields(kind) if f.required and f.name not in content]
    if missing:
        raise ValueError(f"there is no {missing[0]!r} {where}{_may_be(hints[missing[0]])}")


def _may_be(kind: Any, value: object = "") -> str:
    """Return which words a value may be, and the nearest to what was written; "" where it is no choice of words."""
    parts = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    words = [str(word) for part in parts if get_origin(part) is Literal for word in get_args(part)]
    if not words:
        return ""
    near = did_you_mean(value, words) if isinstance(value, str) else ""
    number = " or a whole number from 1 to 256" if DYNAMIC in words else ""
    return f"; it may be {', '.join(words)}{number}" + (f". {near}" if near.startswith("Did") else "")
