"""The house: four floors and, in device_tests, rooms. Imports run downwards only, names say what a value is, and nothing knows the zoo."""

import ast
import subprocess
import symtable
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from models.common.environments import ROOT
from models.zoo import ZOO

FLOORS = ("models", "export", "device_tests", "apps")
# The rooms of device_tests, and the modules beside them, from the ground up: each may import those above it in this list.
# `onboard` is copied onto devices: it imports nothing of ours but the registry's few lines.
ROOMS = (
    "machine_lock", "pool", "schedule", "contract", "onboard", "transport", "devices", "cells", "results", "current_results", "join", "rows", "pipeline", "nox_sessions",
    ("measure", "gates", "report"), "commands", "__main__",
)  # fmt: skip
# On which level a room lies; rooms of one level never import each other.
LEVELS = {name: i for i, rooms in enumerate(ROOMS) for name in ([rooms] if isinstance(rooms, str) else rooms)}
HEAVY = {"torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "executorch", "ai_edge_litert", "tflite_runtime"}


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


FILES = tuple(name for name in tracked("*.py") if (ROOT / name).is_file())
SOURCES = tuple(name for name in FILES if name.startswith(tuple(f"{floor}/" for floor in FLOORS)))


@cache
def tree(file: str | Path) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


@cache
def imported(file: str | Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in FLOORS:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def modules(file: str | Path) -> set[str]:
    """Return the modules of device_tests that a file imports."""
    return {name for name in imported(file) if name.startswith("device_tests.")}


@pytest.mark.parametrize("file", SOURCES)
def test_imports_run_downwards_only(file):
    floor, room = file.removesuffix(".py").split("/")[:2]
    above = {*FLOORS[FLOORS.index(floor) + 1 :], "tests"}
    assert not {name.split(".")[0] for name in imported(file)} & above
    if file.startswith("models/common/"):
        ours = {name for name in imported(file) if name.split(".")[0] in FLOORS}
        assert all(name.startswith("models.common") for name in ours), "what every floor uses needs no network"
    if floor != "device_tests" or room == "__init__":
        return
    for other in (name.split(".")[1] for name in modules(file)):
        assert other != "__main__", "commands stand in the room commands"
        assert room == other or LEVELS[other] < LEVELS[room], f"it imports {other}, which does not lie below {room}"


def test_no_modules_of_ours_import_each_other_in_a_circle():
    names = {module(file): file for file in SOURCES}
    arrows = {name: (modules(file) & names.keys()) - {name} for name, file in names.items()}
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("command", ["models", "export", "device_tests run", "device_tests explain"])
def test_listing_imports_no_framework(command):
    argv = [sys.executable, "-X", "importtime", "-m", *command.split(), "--list"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert command.split()[0] in modules
    assert not HEAVY & modules
    assert done.stdout.strip()


def test_the_top_level_is_the_fixed_one():
    folders = {file.split("/")[0] for file in tracked() if "/" in file and not file.startswith(".")}
    assert folders <= {*FLOORS, "tests", "constraints", "docs"}


def bound(file: str) -> set[str]:
    """Return the names that a module assigns, defines or imports."""
    symbols = symtable.symtable((ROOT / file).read_text(), file, "exec").get_symbols()
    return {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}


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
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours.keys() - own:
            name = ours[node.value.id]
            if not (node.attr in there[name] or f"{name}.{node.attr}" in there or node.attr.startswith("__")):
                yield f"line {node.lineno}: {name}.{node.attr}"


def test_names_that_are_taken_from_modules_of_ours_are_there():
    there = {module(file): bound(file) for file in FILES}
    assert {file: lacks for file in FILES if (lacks := list(missing(tree(file), there)))} == {}
    example = ast.parse("from room import door, window\nfrom house import room\nroom.door(room.wall)")
    assert list(missing(example, {"room": {"door"}, "house": set(), "house.room": {"door"}})) == [
        "line 1: room.window", "line 3: house.room.wall"]  # fmt: skip


# Verbs and participles that say how a value came about, not what it is: `measurement`, `logits` or `message` say that.
VERBS = {"told", "says", "said", "found", "made", "known", "asked", "kept", "wanted", "saw", "gone", "heard", "answers"}
LINES = 45  # a function has fewer, with its signature and its docstring
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def named(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that a file gives to something, and its line; a test's own name is a sentence and not among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno
        elif isinstance(node, ast.ClassDef) or (isinstance(node, FUNCTIONS) and not node.name.startswith("test_")):
            yield node.name, node.lineno


def bad_names(tree: ast.AST) -> list[str]:
    return [f"line {line}: {name}" for name, line in named(tree) if VERBS & set(name.lower().split("_"))]


def long_functions(tree: ast.AST) -> list[str]:
    functions = (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))
    lengths = ((node.name, node.end_lineno - node.lineno + 1) for node in functions)
    return [f"{name} has {length} lines" for name, length in lengths if length >= LINES]


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [(bad_names, "name these for what they are"), (long_functions, "cut these into steps with names")],
)
def test_names_say_what_a_value_is_and_functions_are_short(fault, remedy):
    faults = {file: names for file in FILES if (names := fault(tree(file)))}
    assert not faults, remedy


def test_a_bad_name_is_noticed_wherever_it_is_given_but_not_one_from_elsewhere_or_a_tests_sentence():
    bad = ("found = 1", "for _told in (): pass", "def answers(): pass", "def f(*, says): pass", "class Kept: pass")
    bad += ("self.last_heard = 1", "import json as known", "f(lambda made: 1)")
    assert [len(bad_names(ast.parse(code))) for code in bad] == [1] * len(bad)
    assert not bad_names(ast.parse("from a import found\nfound(told=1)\ndef test_what_is_said(): pass"))


def test_a_function_of_the_limits_length_is_too_long():
    body = "    pass\n" * (LINES - 2)
    assert not long_functions(ast.parse(f"def f():\n{body}"))
    assert long_functions(ast.parse(f"def f():\n{body}    pass\n")) == [f"f has {LINES} lines"]


# which are of the digits themselves: the networks, their data, how these are loaded and distorted
OF_THE_DIGITS = ("models/zoo/", "models/data.py", "models/augment.py")
SIDES, CLASSES = (28, 28 * 28), 10
# where ten is something else than the number of the digits' classes, each by the text of its line
TENS = {
    "apps/web/groups.py": ["LEAST_IMAGES = 10"],
    "device_tests/commands/check.py": ["BROKEN_BUDGET = 10"],
    "device_tests/devices/arm64.py": ["SME_SINCE = 10"],
    "device_tests/gates/summary.py": ["ANNOTATIONS = 10", "room = limit_bytes"],
    "device_tests/measure/explain/compare.py": ["10 * math.log10"],
    "export/formats/ncnn.py": ["number.get(10, -1)"],
    "device_tests/results/judging.py": ["MANY = 10"],
    "device_tests/results/latency.py": ["TAIL = 10"],
    "device_tests/transport/android/conditions.py": ["/ 10:g"],
}


def of_the_digits(file: str) -> Iterator[str]:
    """Yield the lines of a file, docstrings left out, that know the digits' size, their number or the zoo's names."""
    lines = (ROOT / file).read_text().splitlines()
    docstrings = {id(node.value) for node in ast.walk(tree(file)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(file)):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        value, line = node.value, lines[node.lineno - 1].strip()
        ten = type(value) is int and value == CLASSES and not any(text in line for text in TENS.get(file, ()))
        if ten or value in SIDES or (isinstance(value, str) and any(name in value for name in ZOO.names())):
            yield line


def test_nobody_knows_the_size_or_number_of_the_digits_or_the_names_of_the_zoo():
    """Any classifier of images takes the same way."""
    general = [file for file in (*SOURCES, "noxfile.py") if not file.startswith((*OF_THE_DIGITS, "apps/android/"))]
    assert {file: lines for file in general if (lines := list(of_the_digits(file)))} == {}
    assert set(TENS) <= set(general), "what is gone is no exception"
