"""Rewrites are kept only where the logits prove them: scripted formats, without any framework."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from export import keys, matrix, rewriting
from export.schemes import SCHEMES
from tests.export.conftest import changed

LOGITS = np.array([[1.0, -8.0], [3.0, 2.0]], np.float32)


@pytest.fixture(autouse=True)
def titles(monkeypatch):
    modules = {name: SimpleNamespace(TITLE=f"what {name} does") for name in ("first", "second")}
    monkeypatch.setattr(rewriting, "REWRITES", modules)


def rewritten(tmp_path, scheme, *, off=0.0, second=b"AB!", run=None, operators=("conv",)):
    """Rewrite a file twice: `first` makes it b"AB", `second` what is given, whose logits are off by so much."""
    contents = {"first": (b"AB", list(operators)), "second": (second, ["dense"])}
    module = SimpleNamespace(rewrites=("first", "second"), rewritten=lambda content, name: contents[name])
    file = tmp_path / "file"
    file.write_bytes(b"A")

    def logits_of(path):
        return run(path) if run else LOGITS + (off if path.read_bytes() == second else 0)

    return rewriting.applied(module, file, logits_of, LOGITS, SCHEMES[scheme]), file.read_bytes()


def test_rewrites_that_keep_every_logit_are_kept_and_recorded(tmp_path):
    done, content = rewritten(tmp_path, "int8")
    assert (content, done.notes) == (b"AB!", ())
    recorded = [(r.name, r.operators, r.images, r.difference, r.bytes) for r in done.rewrites]
    assert recorded == [("first", ("conv",), 2, 0.0, 1), ("second", ("dense",), 2, 0.0, 1)]
    done, content = rewritten(tmp_path, "int8", operators=())
    assert (content, [r.name for r in done.rewrites]) == (b"AB!", ["second"]), "one with nothing to do leaves no trace"


@pytest.mark.parametrize("scheme", ["int8", "dynamic_int8", "int4", "int16x8"])
def test_an_integer_scheme_gives_up_a_rewrite_for_the_last_bit(tmp_path, scheme):
    done, content = rewritten(tmp_path, scheme, off=1e-6)
    assert (content, [r.name for r in done.rewrites]) == (b"AB", ["first"])
    assert done.notes == ("not rewritten (what second does): the logits would differ by 9.5e-07",)
    assert np.array_equal(done.logits, LOGITS)


def test_a_float_scheme_may_round_otherwise_and_no_more(tmp_path):
    done, content = rewritten(tmp_path, "float32", off=5e-5)
    assert content == b"AB!"
    assert done.rewrites[1].difference == pytest.approx(5e-5, rel=0.1)
    assert np.array_equal(done.logits, LOGITS + np.float32(5e-5))
    for too_far in (2e-4, np.nan, np.inf):
        assert rewritten(tmp_path, "float32", off=too_far)[1] == b"AB"


def raising(error: Exception):
    def run(path):
        raise error

    return run


def test_a_runtime_that_refuses_the_rewritten_file_gets_the_converted_one(tmp_path):
    done, content = rewritten(tmp_path, "int8", run=raising(RuntimeError("no such operator\nand more")))
    assert content == b"A"
    assert done.notes[0] == "not rewritten (what first does): RuntimeError: no such operator"


@pytest.mark.parametrize("kind", [OSError, MemoryError])
def test_what_is_the_machines_fault_ends_the_recipe_and_is_no_reason_for_another_file(tmp_path, kind):
    with pytest.raises(kind):
        rewritten(tmp_path, "int8", run=raising(kind("no room")))


def test_artifacts_with_and_without_rewrites_have_other_keys_and_other_formats_the_same():
    tflite = next(r for r in matrix.recipes() if r.id == "torch_cnn_small-tflite-int8")
    onnx = replace(tflite, format="onnx")
    with_, without = (keys.artifact_inputs(tflite, {}, rewrites=rewrites) for rewrites in (True, False))
    files = {f"export/rewrites/{name}.py" for name in ("paddings", "pixels_as_channels", "transposes", "views")}
    assert changed(with_, without) == {*files, "rewrites"}
    assert keys.artifact_inputs(onnx, {}, rewrites=True) == keys.artifact_inputs(onnx, {}, rewrites=False)
