"""How a program of the project starts."""

from __future__ import annotations

import os
import subprocess
import sys

from models.environments import ROOT


def test_a_program_keeps_bytecode_where_a_container_forbids_it(tmp_path):
    """Each process would compile every framework anew."""
    (tmp_path / "program.py").write_text(
        "import subprocess, sys\n"
        "import imported\n"
        "subprocess.run([sys.executable, '-c', 'import other'], check=True)\n"
        "def command(**options): pass\n"
        "command.main = lambda standalone_mode: 0\n"
    )
    for name in ("imported", "other"):
        (tmp_path / f"{name}.py").write_text("")
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    env.pop("PYTHONPYCACHEPREFIX", None)
    code = "from models import entry; entry.main('program:command')"
    subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=True)
    assert {file.name.split(".")[0] for file in (tmp_path / "__pycache__").iterdir()} == {
        "program",
        "imported",
        "other",
    }
