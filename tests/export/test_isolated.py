"""Programs in environments of their own: how they end, and that their versions count."""

from __future__ import annotations

import numpy as np
import pytest

from export import isolated, keys
from export.recipe import Recipe
from models import environments
from models.errors import EnvironmentMissing, Unsupported
from tests import interpreters


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return a function that writes a program, in an environment `ncnn` that is this interpreter."""
    interpreters.install(tmp_path / "envs", "ncnn")
    monkeypatch.setenv("EDGEWISE_ENVS", str(tmp_path / "envs"))

    def write(text: str) -> str:
        (tmp_path / "program.py").write_text(text)
        return str(tmp_path / "program.py")

    return write


def test_a_program_that_its_toolchain_refuses_is_unsupported_in_its_last_words(program):
    refusing = program("import sys; print('pnnx cannot convert it: Erf', file=sys.stderr); sys.exit(3)")
    with pytest.raises(Unsupported, match="^pnnx cannot convert it: Erf$"):
        isolated.run("ncnn", refusing)


@pytest.mark.parametrize(
    ("text", "timeout_s", "message"),
    [
        ("raise ValueError('broken')", 60, "ValueError: broken"),
        ("import os; os.kill(os.getpid(), 11)", 60, "it ended with -11 and said nothing"),
        ("import time; time.sleep(30)", 0.5, "ncnn's toolchain did not end in 0.5 s"),
    ],
    ids=["broken", "killed", "hanging"],
)
def test_a_program_that_breaks_or_hangs_is_a_failure(program, monkeypatch, text, timeout_s, message):
    monkeypatch.setattr(isolated, "TIMEOUT_S", timeout_s)
    with pytest.raises(isolated.Failed, match=message):
        isolated.run("ncnn", program(text))


def test_the_environment_is_named_where_it_is_missing(program):
    with pytest.raises(EnvironmentMissing, match="nox -s export -- --only '\\*-openvino-\\*'"):
        isolated.run("openvino", program(""))


def test_answers_go_to_and_from_a_program_as_arrays(program, tmp_path):
    doubling = program("import sys, numpy; numpy.save(sys.argv[4], numpy.load(sys.argv[3]) * 2)")
    images = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert (isolated.logits("ncnn", doubling, tmp_path, images) == images * 2).all()


def test_a_program_is_not_held_to_the_instruction_set_of_the_lane(program, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    isolated.run("ncnn", program("import os; assert 'ONEDNN_MAX_CPU_ISA' not in os.environ"))


def test_a_program_does_not_shadow_a_library_of_its_own_name(program, tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    isolated.run("ncnn", program("import numpy"))


@pytest.mark.parametrize("format_name", isolated.ENVIRONMENTS)
def test_versions_of_the_own_environment_make_stale_and_stand_in_the_sidecar(format_name):
    recipe = Recipe(model="torch_cnn_small", format=format_name, scheme="float32")
    names = set(keys.artifact_inputs(recipe, {}))
    pins = f"constraints/{isolated.ENVIRONMENTS[format_name]}.txt"
    assert {pins, f"export/isolated/with_{format_name}.py"} <= names
    assert format_name in isolated.pins(format_name)
    assert (environments.ROOT / pins).exists()
    assert isolated.pins("onnx") == {}
