"""Names say what a value is, in the field's terms, and functions are short enough to be read at once."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("models", "export", "device_tests", "apps", "tests")
# Verbs and participles that say how a value came about, not what it is: `measurement`, `logits` or `message` say that.
FORBIDDEN = {
    *("told", "says", "said", "found", "made", "known", "asked"),
    *("kept", "wanted", "saw", "gone", "heard", "answers"),
}
LINES = 45  # a function has fewer, with its signature and its docstring


@cache
def trees(folder: str) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted((ROOT / folder).rglob("*.py"))}


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
    return [f"line {line}: {name}" for name, line in named(tree) if FORBIDDEN & set(name.lower().split("_"))]


def long_functions(tree: ast.AST) -> list[str]:
    functions = (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))
    lengths = ((node.name, node.end_lineno - node.lineno + 1) for node in functions)
    return [f"{name} has {length} lines" for name, length in lengths if length >= LINES]


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [(bad_names, "name these for what they are"), (long_functions, "cut these into steps with names")],
)
@pytest.mark.parametrize("folder", FOLDERS)
def test_names_say_what_a_value_is_and_functions_are_short(folder, fault, remedy):
    faults = {path: names for path, tree in trees(folder).items() if (names := fault(tree))}
    assert not faults, remedy


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "for _told in (): pass",
        "def answers(): pass",
        "def f(*, says): pass",
        "class Kept: pass",
        "self.last_heard = 1",
        "import json as known",
        "f(lambda made: 1)",
    ],
)
def test_a_bad_name_is_noticed_wherever_it_is_given(code):
    assert len(bad_names(ast.parse(code))) == 1


def test_a_name_that_comes_from_elsewhere_and_a_tests_sentence_are_nobodys_fault():
    assert not bad_names(ast.parse("from a import found\nfound(told=1)\ndef test_what_is_said(): pass"))


def test_a_function_of_the_limits_length_is_too_long():
    body = "    pass\n" * (LINES - 2)
    assert not long_functions(ast.parse(f"def f():\n{body}"))
    assert long_functions(ast.parse(f"def f():\n{body}    pass\n")) == [f"f has {LINES} lines"]
