"""The house: five floors, imports run downwards only, and listing what exists imports no framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("models", "export", "device_tests", "apps")
HEAVY = {"torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "executorch", "ai_edge_litert", "tflite_runtime"}


def sources() -> list[Path]:
    return sorted(p for floor in FLOORS for p in (ROOT / floor).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards_only(path):
    floor = path.relative_to(ROOT).parts[0]
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests"}
    assert not imported(path) & above


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
