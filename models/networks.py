"""Which networks are deployed: the zoo's, or those of a folder that the user names. Nothing of theirs is imported."""

import ast
import os
import re
from pathlib import Path

from models.common import files
from models.common.errors import DataError, UsageError, did_you_mean
from models.spec import Framework
from models.zoo import ZOO

VARIABLE = "EDGEWISE_MODELS"  # the user's folder, for this process and all that it starts
SUFFIXES = (".pt2", ".keras", ".h5", ".py")  # of networks in a folder; the weights of a .py are beside it
# of files that hold weights alone, or a network whose layers are gone
OTHERS = (".pt", ".pth", ".safetensors", ".weights.h5", ".onnx", ".tflite", ".pb")
CODE_BYTES = 1 << 20
NAME = re.compile(r"[A-Za-z0-9_]+")  # an id is MODEL-FORMAT-SCHEME


def folder() -> Path | None:
    """Return the user's folder of networks, None where the zoo's are meant."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def default(name: str) -> Path:
    """Return the default place of `artifacts`, `results`, `report` or a file: beside the networks."""
    return (folder() or Path()) / name


def names() -> tuple[str, ...]:
    """Return the networks' names, sorted; raises UsageError or DataError for a folder that holds none."""
    place = folder()
    return tuple(sorted(_files(place)[0])) if place else ZOO.names()


def left_out() -> tuple[str, ...]:
    """Return a sentence for each file of the folder that looks like a network but cannot be used."""
    place = folder()
    return tuple(_files(place)[1]) if place else ()


def require(name: str) -> None:
    """Raise UsageError where there is no such network."""
    if name not in names():
        raise UsageError(f"There is no model called {name!r}. {did_you_mean(name, names())}")


def file(name: str) -> Path:
    """Return the file that holds, or registers, a network; raises UsageError where there is none."""
    require(name)
    place = folder()
    return _files(place)[0][name] if place else ZOO.path(name)


def framework(name: str) -> Framework:
    """Return a network's framework, found without importing it; raises UsageError or DataError."""
    path = file(name)
    return {".pt2": "torch", ".keras": "keras", ".h5": "keras"}.get(path.suffix) or _framework_of_code(path)


def _files(place: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the networks' files by name, and what is wrong with others; Python files without `network` are skipped."""
    if not place.is_dir():
        what, instead = ("a file", place.parent) if place.is_file() else ("no folder", "FOLDER")
        raise UsageError(f"{place} is {what}. Say which folder holds your networks: --models {instead}")
    candidates: dict[str, list[Path]] = {}
    problems = []
    for path in sorted(p for p in place.iterdir() if p.suffix in SUFFIXES and not p.name.startswith((".", "_"))):
        try:
            if _is_network(path):
                candidates.setdefault(path.stem, []).append(path)
        except DataError as error:
            problems.append(str(error))
    several = [paths for paths in candidates.values() if len(paths) > 1]
    problems += [f"{' and '.join(map(str, paths))} have one name. Rename one of them." for paths in several]
    networks = {name: paths[0] for name, paths in candidates.items() if len(paths) == 1}
    if not networks and problems:
        raise DataError("\n".join(problems))
    if not networks:
        code = [path.name for path in sorted(place.glob("*.py"))]
        but = f" {', '.join(code)} defines no function `network`." if code else ""
        there = (
            path for path in sorted(place.iterdir()) if (path / "saved_model.pb").exists() or path.name.endswith(OTHERS)
        )
        if others := ", ".join(path.name for path in there):
            but += f" {others}: weights alone, or a network that is converted already."
        kinds = "NAME.pt2, NAME.keras, NAME.h5, or NAME.py with its weights"
        raise DataError(f"{place} holds no network: {kinds}.{but} See docs/your-own-network.md.")
    return networks, problems


def _framework_of_code(path: Path) -> Framework:
    imported = {
        name.partition(".")[0]
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    imported_of = {"torch": {"torch", "torchvision"} & imported, "keras": {"keras", "tensorflow"} & imported}
    if bool(imported_of["torch"]) == bool(imported_of["keras"]):
        msg = f"{path} imports {'both' if imported_of['torch'] else 'neither'} of PyTorch and Keras: its network() must be made with one."
        raise DataError(msg)
    return "torch" if imported_of["torch"] else "keras"


def _is_network(path: Path) -> bool:
    """Tell whether a file is a network, or Python code that defines one; raises DataError where its name cannot be."""
    if path.name.endswith(".weights.h5"):
        return False
    if not NAME.fullmatch(path.stem):
        raise DataError(
            f"{path} has a name that cannot be part of an id: {path.stem!r}. Rename it, and what belongs to it: "
            "letters, digits and underscores only, for example "
            f"{re.sub(r'[^A-Za-z0-9_]+', '_', path.stem).strip('_') or 'network'}{path.suffix}"
        )
    return path.suffix != ".py" or any(
        isinstance(node, ast.FunctionDef) and node.name == "network" for node in _parsed(path).body
    )


def _parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file, which is not run; raises DataError."""
    try:
        return _tree(path)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two of deep nesting
        raise DataError(f"{path} is no Python file that can be read: {error}") from error


@files.while_unchanged
def _tree(path: Path) -> ast.Module:
    return ast.parse(files.read_bytes(path, CODE_BYTES))
