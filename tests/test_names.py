"""Every name that a module takes from another one of ours is there: found without running anything, tests and apps included."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from models.environments import ROOT


def modules() -> dict[str, Path]:
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
    trees = {name: ast.parse(file.read_text()) for name, file in modules().items()}
    there = {name: names(tree) for name, tree in trees.items()}
    assert {name: lacks for name, tree in trees.items() if (lacks := list(missing(tree, there)))} == {}


def test_a_name_that_went_is_found():
    tree = ast.parse("from room import door, window\nfrom house import room\nroom.door(room.wall)")
    assert list(missing(tree, {"room": {"door"}, "house": set(), "house.room": {"door"}})) == [
        "line 1: room.window", "line 3: house.room.wall"]  # fmt: skip
