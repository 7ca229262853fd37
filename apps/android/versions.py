"""The versions of everything that the app is built from, as gradle/libs.versions.toml has them."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
FILE = HERE / "gradle" / "libs.versions.toml"


@dataclass(frozen=True, kw_only=True)
class Library:
    """What Maven calls an artifact; `alias` is its name in the catalogue."""

    alias: str
    group: str
    name: str
    version: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.name}"


@cache
def _content() -> dict:
    return tomllib.loads(FILE.read_text())


def version(name: str) -> str:
    """Return a version by its name in the catalogue."""
    return _content()["versions"][name]


def library(alias: str) -> Library:
    """Return a library by its name in the catalogue."""
    entry = _content()["libraries"][alias]
    group, _, name = entry["module"].partition(":")
    return Library(alias=alias, group=group, name=name, version=version(entry["version"]["ref"]))


def bundle(name: str) -> tuple[Library, ...]:
    """Return the libraries that belong together."""
    return tuple(library(alias) for alias in _content()["bundles"][name])
