"""Lists a package's modules without importing them: a file's name is its registration."""

import importlib
import os
import pkgutil
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from models.common.errors import UsageError, did_you_mean


@lru_cache
def _listed(folders: tuple[str, ...], changed_ns: tuple[int, ...]) -> tuple[str, ...]:
    """List the folders as they were at these times: names are looked up thousands of times."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_")))


class Registry:
    """The modules of one package by name, imported on first access only."""

    def __init__(self, package: str, kind: str) -> None:
        self.package = package
        self.kind = kind

    def names(self) -> tuple[str, ...]:
        """Return the module names, sorted; nothing of theirs is imported."""
        folders = tuple(importlib.import_module(self.package).__path__)
        return _listed(folders, tuple(os.stat(folder).st_mtime_ns for folder in folders))

    def path(self, name: str) -> Path:
        """Return the file that registers `name`; raises UsageError when there is none."""
        self._require(name)
        return Path(importlib.import_module(self.package).__path__[0]) / f"{name}.py"

    def __getitem__(self, name: str) -> ModuleType:
        self._require(name)
        return importlib.import_module(f"{self.package}.{name}")

    def _require(self, name: str) -> None:
        if name not in self.names():
            raise UsageError(f"There is no {self.kind} called {name!r}. {did_you_mean(name, self.names())}")
