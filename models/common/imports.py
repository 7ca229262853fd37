"""Which of the project's files a module depends on: itself and all that it imports, read without running anything."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

# Imported everywhere, without influence on the bytes of artifacts: messages, and downloads that are verified by digest.
NEUTRAL = frozenset({"models.common.errors", "models.mirrors", "models.common.console"})


def closure(modules: Iterable[str], root: Path) -> tuple[Path, ...]:
    """Return the files of these modules and of all modules below `root` that they import, directly or not, sorted.

    Imports inside functions count. What a registry imports by name does not: its caller names it.
    """
    waiting, files = [n for module in modules for n in _with_packages(module)], {}
    while waiting:
        name = waiting.pop()
        base = root.joinpath(*name.split("."))
        file = next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
        if file is None or name in files or name in NEUTRAL:
            continue
        files[name] = file
        state = file.stat()
        waiting.extend(_imported(name, file, state.st_mtime_ns, state.st_size))
    return tuple(sorted(files.values()))


def _with_packages(module: str) -> Iterator[str]:
    """Yield a module and the packages that it lies in, which are imported with it."""
    parts = module.split(".")
    yield from (".".join(parts[: n + 1]) for n in range(len(parts)))


@cache
def _imported(module: str, file: Path, mtime_ns: int, size: int) -> tuple[str, ...]:
    """Return every name that a file may import; time and size only tell the cache that the file is another."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # its import reports the error better
        return ()
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            names += [start, *(f"{start}.{alias.name}" for alias in node.names)]  # a name may be a module or not
    return tuple(dict.fromkeys(n for name in names if name for n in _with_packages(name)))
