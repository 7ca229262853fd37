"""edgewise.toml: what a user says of the networks in a folder, which artifacts to make of them, and schemes of their own."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models import files
from models.errors import DataError
from models.records import Record

FILE = "edgewise.toml"
MOST_BYTES = 1 << 20
BASES = ("float32", "float16", "dynamic_int8", "int8", "int8_io", "int16x8", "int4", "qat_int8")


class NetworkSettings(Record, kw_only=True, forbid_unknown_fields=True):
    """What is said of one network: `labels` are the classes' names."""

    labels: tuple[str, ...] = ()


class Options(Record, kw_only=True, forbid_unknown_fields=True):
    """What a scheme may say beside its base; None leaves it to the format.

    `calibration` is how ranges are found on so many `images`; `granularity` and `symmetric` are those of scales and of
    activations' ranges; `block` is how many 4-bit weights share a scale; `keep_float` are globs of operators that stay as
    they are; `steps` are those of fine-tuning.
    """

    calibration: Literal["minmax", "percentile", "mse"] | None = None
    images: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    granularity: Literal["per_channel", "per_tensor"] | None = None
    symmetric: bool | None = None
    block: Literal[16, 32, 64, 128, 256] | None = None
    keep_float: tuple[str, ...] | None = None
    steps: Annotated[int, Meta(ge=1, le=100_000)] | None = None

    @property
    def given(self) -> dict[str, object]:
        """The options that say something, by name."""
        return {name: value for name in Options.__struct_fields__ if (value := getattr(self, name)) is not None}


class SchemeSettings(Options, kw_only=True, forbid_unknown_fields=True):
    """A scheme of the user's: one of the eight, with options."""

    base: Literal[BASES]


class Settings(Record, kw_only=True, forbid_unknown_fields=True):
    """`labels` of all networks, globs of the `recipes` to make (MODEL-FORMAT-SCHEME, all where there are none), and more by name."""

    labels: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    networks: dict[str, NetworkSettings] = {}
    schemes: dict[str, SchemeSettings] = {}

    def labels_of(self, model: str) -> tuple[str, ...]:
        """Return the names of a network's classes, none where nothing is said."""
        said = self.networks.get(model)
        return (said.labels if said else ()) or self.labels


def load(folder: Path) -> Settings:
    """Return what a folder's file says, nothing where there is none; raises DataError that names the mistake."""
    path = folder / FILE
    try:
        state = path.stat()
    except OSError:
        return Settings()
    return _load(path, state.st_mtime_ns, state.st_size)


@cache
def _load(path: Path, mtime_ns: int, size: int) -> Settings:
    """Read the file once; time and size only tell the cache that it is another."""
    try:
        settings = msgspec.toml.decode(files.read_bytes(path, MOST_BYTES), type=Settings, strict=True)
    except (OSError, ValueError, RecursionError) as error:  # msgspec's and tomllib's own are ValueErrors
        msg = f"{path} cannot be used: {error}. See docs/your-own-network.md."
        raise DataError(msg) from error
    for name in settings.schemes:
        if name in BASES or not re.fullmatch(r"[A-Za-z0-9_]+", name):
            why = (
                "is the name of one of Edgewise's own"
                if name in BASES
                else "is no word of letters, digits and underscores"
            )
            msg = f"{path} cannot be used: the scheme {name!r} {why}. Give it another name."
            raise DataError(msg)
    return settings
