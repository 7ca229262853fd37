"""Nothing in the product knows the zoo's images, classes and names: any classifier of images takes the same way."""

import ast
from functools import cache
from pathlib import Path

from models.zoo import ZOO

ROOT = Path(__file__).resolve().parents[1]
SIDES, CLASSES = (28, 28 * 28), 10
# which are of the digits themselves: the networks, their data, how these are loaded and distorted
OF_THE_DIGITS = ("models/zoo/", "models/data.py", "models/augment.py")
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


def product() -> list[Path]:
    folders = ("models", "export", "device_tests", "apps/web")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]
    return [path for path in (*files, ROOT / "noxfile.py") if not str(path.relative_to(ROOT)).startswith(OF_THE_DIGITS)]


@cache
def constants() -> tuple[tuple[str, object, str], ...]:
    """Return the constants of the product with their files and lines, docstrings left out."""
    constants = []
    for path in product():
        text = path.read_text()
        tree, lines = ast.parse(text), text.splitlines()
        bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)]
        docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
        name = str(path.relative_to(ROOT))
        constants += [(name, node.value, lines[node.lineno - 1].strip()) for node in nodes]
    return tuple(constants)


def test_nobody_knows_the_size_of_the_digits():
    assert not [(file, line) for file, value, line in constants() if value in SIDES]


def test_nobody_knows_the_names_of_the_zoo():
    texts = [(file, value, line) for file, value, line in constants() if isinstance(value, str)]
    assert not [(file, line) for file, text, line in texts if any(name in text for name in ZOO.names())]


def test_nobody_knows_the_number_of_the_digits():
    tens = [(file, line) for file, value, line in constants() if type(value) is int and value == CLASSES]
    assert not [(file, line) for file, line in tens if not any(text in line for text in TENS.get(file, ()))]
    assert set(TENS) <= {file for file, _, _ in constants()}, "what is gone is no exception"
