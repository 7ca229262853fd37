"""The house: five floors and, in device_tests, rooms. Imports run downwards only, and all that they name is there."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("models", "export", "device_tests", "apps")
# The rooms of device_tests, and the modules beside them, from the ground up: each may import those above it in this list.
# `onboard` is copied onto devices: it imports nothing of ours but the registry's few lines.
ROOMS = (
    "machine_lock", "pool", "schedule", "contract", "onboard", "transport", "devices", "cells", "results", "current_results", "join", "rows", "pipeline", "nox_sessions",
    ("measure", "gates", "report"), "commands", "__main__",
)  # fmt: skip
HEAVY = {"torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "executorch", "ai_edge_litert", "tflite_runtime"}


def sources() -> list[Path]:
    return sorted(p for floor in FLOORS for p in (ROOT / floor).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in FLOORS:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def modules(path: Path) -> set[str]:
    """Return the modules of device_tests that a file imports."""
    return {name for name in imported(path) if name.startswith("device_tests.")}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards_only(path):
    floor = path.relative_to(ROOT).parts[0]
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests"}
    assert not {name.split(".")[0] for name in imported(path)} & above


@pytest.mark.parametrize("path", sorted((ROOT / "models" / "common").glob("*.py")), ids=lambda path: path.name)
def test_what_every_floor_uses_needs_no_network(path):
    ours = {name for name in imported(path) if name.split(".")[0] in FLOORS}
    assert all(name.startswith("models.common") for name in ours)


# On which level a room lies; rooms of one level never import each other.
LEVELS = {name: i for i, rooms in enumerate(ROOMS) for name in ([rooms] if isinstance(rooms, str) else rooms)}
HOUSE = ROOT / "device_tests"


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_between_rooms_run_downwards_only(path):
    own = path.relative_to(HOUSE).with_suffix("").parts[0]
    if own == "__init__":
        return
    for module in modules(path):
        other = module.split(".")[1]
        assert other != "__main__", f"{path} imports {module}: commands stand in the room commands"
        assert own == other or LEVELS[other] < LEVELS[own], f"{path} imports {module}, which does not lie below {own}"


def test_no_modules_of_ours_import_each_other_in_a_circle():
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in sources()}
    arrows = {name: (modules(path) & names.keys()) - {name} for name, path in names.items()}
    while leaves := [name for name, targets in arrows.items() if not targets & arrows.keys()]:
        for name in leaves:
            del arrows[name]
    assert not arrows, f"these lie on a circle, or import one: {sorted(arrows)}"


@pytest.mark.parametrize(
    "arguments", [["models", "--list"], ["export", "--list"], ["device_tests", "run", "--list"]], ids=" ".join
)
def test_listing_imports_no_framework(arguments):
    spy = (
        "import runpy, sys\n"
        f"sys.argv = {arguments!r}\n"
        "try:\n    runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"assert not {HEAVY!r} & set(sys.modules), {HEAVY!r} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", spy], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_the_top_level_is_the_fixed_one():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    assert folders <= {"models", "export", "device_tests", "apps", "tests", "constraints", "docs"}


def files() -> dict[str, Path]:
    """Return every file of ours by the name of its module."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [path for line in listed.splitlines() if (path := ROOT / line).is_file()]
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def names(tree: ast.Module) -> set[str]:
    """Return what a module may have: whatever is bound anywhere in it."""
    bound = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return bound | {(a.asname or a.name).partition(".")[0] for node in imports for a in node.names}


def missing(tree: ast.Module, there: dict[str, set[str]]) -> Iterator[str]:
    ours: dict[str, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level:
            continue
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            if whole in there:
                ours[alias.asname or alias.name] = whole
            elif node.module in there and alias.name not in there[node.module]:
                yield f"line {node.lineno}: {whole}"
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours.keys() - own:
            module = ours[node.value.id]
            is_there = node.attr in there[module] or f"{module}.{node.attr}" in there or node.attr.startswith("__")
            if not is_there:
                yield f"line {node.lineno}: {module}.{node.attr}"


def test_names_that_are_taken_from_modules_of_ours_are_there():
    trees = {name: ast.parse(file.read_text()) for name, file in files().items()}
    there = {name: names(tree) for name, tree in trees.items()}
    assert {name: lacks for name, tree in trees.items() if (lacks := list(missing(tree, there)))} == {}


def test_a_name_that_went_is_found():
    tree = ast.parse("from room import door, window\nfrom house import room\nroom.door(room.wall)")
    assert list(missing(tree, {"room": {"door"}, "house": set(), "house.room": {"door"}})) == [
        "line 1: room.window", "line 3: house.room.wall"]  # fmt: skip
