"""edgewise.toml: what a user says of the networks in a folder, and which artifacts to make of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from models import files
from models.errors import DataError
from models.records import Record

FILE = "edgewise.toml"
MOST_BYTES = 1 << 20


class NetworkSettings(Record, kw_only=True, forbid_unknown_fields=True):
    """What is said of one network: `labels` are the classes' names."""

    labels: tuple[str, ...] = ()


class Settings(Record, kw_only=True, forbid_unknown_fields=True):
    """`labels` of all networks, globs of the `recipes` to make (MODEL-FORMAT-SCHEME, all where there are none), and more by network."""

    labels: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    networks: dict[str, NetworkSettings] = {}

    def labels_of(self, model: str) -> tuple[str, ...]:
        """Return the names of a network's classes, none where nothing is said."""
        said = self.networks.get(model)
        return (said.labels if said else ()) or self.labels


def load(folder: Path) -> Settings:
    """Return what a folder's file says, nothing where there is none; raises DataError that names the mistake."""
    path = folder / FILE
    try:
        return msgspec.toml.decode(files.read_bytes(path, MOST_BYTES), type=Settings, strict=True)
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, RecursionError) as error:  # msgspec's and tomllib's own are ValueErrors
        msg = f"{path} cannot be used: {error}. See docs/your-own-network.md."
        raise DataError(msg) from error
