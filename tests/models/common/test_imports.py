"""What a module is made of, read from its imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.common import imports
from models.common.environments import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {
        "export/__init__.py": "",
        "export/formats/__init__.py": "from models.common import registry",
        "export/formats/one.py": "from export.formats import _shared, two\nimport numpy as np",
        "export/formats/two.py": "def f():\n    import export.deep.inside as x\n    return x",
        "export/formats/_shared.py": "from . import _sibling\nfrom ..top import name",
        "export/formats/_sibling.py": "from export.formats.one import circle",
        "export/formats/other.py": "",
        "export/deep/__init__.py": "",
        "export/deep/inside.py": "import os.path",
        "export/top.py": "from models.common.errors import DataError",
        "models/__init__.py": "",
        "models/common/registry.py": "",
        "models/common/errors.py": "from models import never",
        "models/never.py": "",
        "os.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def closure(tree: Path, *modules: str) -> set[str]:
    return {file.relative_to(tree).as_posix() for file in imports.closure(modules, tree)}


def test_imports_are_followed_however_they_are_written(tree):
    every = {file.relative_to(tree).as_posix() for file in tree.rglob("*.py")}
    left_out = {"export/formats/other.py", "models/common/errors.py", "models/never.py"}
    assert closure(tree, "export.formats.one") - {"os.py"} == every - {"os.py"} - left_out


def test_a_file_that_changes_is_read_again_and_counts_itself_where_it_is_no_python(tree):
    assert "export/formats/other.py" not in closure(tree, "export.deep.inside")
    (tree / "export/deep/inside.py").write_text("import export.formats.other  # now")
    assert "export/formats/other.py" in closure(tree, "export.deep.inside")
    (tree / "export/deep/inside.py").write_text("def (")
    assert "export/deep/inside.py" in closure(tree, "export.deep.inside")


def test_reading_the_projects_imports_runs_none_of_it():
    code = (
        "import sys\nfrom pathlib import Path\nfrom models.common import imports\n"
        f"assert imports.closure(['export.lane', 'export.formats.tflite', 'models.frameworks.keras'], Path({str(ROOT)!r}))\n"
        "assert not {'numpy', 'torch', 'tensorflow', 'export'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
