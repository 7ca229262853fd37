from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from device_tests import fuzz
from export.matrix import MATRIX
from models.environments import ROOT

CONTENT = bytes(range(256)) * 40


def test_every_format_of_the_matrix_has_a_subject():
    formats = {name for formats in MATRIX.values() for name in formats}
    assert formats - set(fuzz.SUBJECTS) == {"executorch_portable"}  # the same file format as executorch


@pytest.mark.parametrize("name", [n for n in fuzz.DAMAGES if n != "another format"])
def test_damage_is_seeded_and_real(name):
    one, two = (fuzz.DAMAGES[name](CONTENT, random.Random(7)) for _ in range(2))
    assert one == two != CONTENT


@pytest.mark.parametrize("name", fuzz.DAMAGES)
def test_damage_never_touches_the_original(name, tmp_path):
    whole, other = tmp_path / "whole.savedmodel", tmp_path / "other"
    for file in (whole / "1" / "saved_model.pb", whole / "1" / "variables", other):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENT if file is not other else b"another format's content")
    fuzz.damage(whole, tmp_path / "broken.savedmodel", name, random.Random(1), other)
    assert all(file.read_bytes() == CONTENT for file in whole.rglob("*") if file.is_file())
    assert any(file.read_bytes() != CONTENT for file in (tmp_path / "broken.savedmodel").rglob("*") if file.is_file())


@pytest.mark.slow
def test_damaged_artifacts_end_as_rows_and_leave_no_process(tmp_path):
    folder = ["--artifacts", str(tmp_path / "artifacts")]
    wanted = [f"--only={id.split('@')[0]}" for id in fuzz.SUBJECTS.values() if "savedmodel" not in id]
    export = [sys.executable, "-m", "export", *wanted, *folder, "--logs", str(tmp_path)]
    subprocess.run(export, cwd=ROOT, check=True, capture_output=True)
    formats = [f"--only={name}" for name in fuzz.SUBJECTS if name != "savedmodel"]
    command = [sys.executable, "-m", "device_tests.fuzz", "--count", "6", *formats, *folder]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    assert "load_failed" in result.stdout
    running = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(p)]
    assert not running


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""
