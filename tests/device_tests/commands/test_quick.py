"""What a quick run leaves out: further engines, unless they are named or nothing else is there."""

from click.testing import CliRunner

from device_tests.cells import Cell
from device_tests.commands import run as command
from device_tests.onboard.runtimes import FURTHER
from export import matrix
from export.__main__ import command as export
from export.recipe import Recipe

WHOLE = {"quick": False, "full": False}
QUICK = {"quick": True, "full": False}


def planned(*runtimes: str, patterns: tuple[str, ...] = (), **how) -> tuple[Cell, ...]:
    return command.plan(runtimes, patterns, (), **how)


def test_a_quick_run_is_of_the_first_engines_and_a_whole_one_of_all():
    whole, quick = planned(**WHOLE), planned(**QUICK)
    formats, first_formats = ({cell.recipe.format for cell in cells} for cells in (whole, quick))
    assert formats - first_formats == {"coreml", "ncnn", "openvino"}
    assert {cell.runtime for cell in quick} & set(FURTHER) == set()
    assert {"openvino", "tflite_micro", "mil_evaluator", "ncnn"} <= {cell.runtime for cell in whole}


def test_a_quick_run_takes_what_is_named_and_leaves_out_none_where_only_further_formats_are_wanted(monkeypatch):
    for runtimes, pattern in ((("openvino",), "*"), ((), "torch_cnn-onnx-int8@openvino@*"), ((), "*-openvino-*")):
        named = {"patterns": (pattern,)}
        assert planned(*runtimes, **named, **QUICK) == planned(*runtimes, **named, **WHOLE) != ()
    recipe = Recipe(model="torch_cnn_small", format="coreml", scheme="int4")
    monkeypatch.setattr(matrix, "recipes", lambda: (recipe,))
    assert {cell.recipe for cell in planned(**QUICK)} == {recipe}
    assert CliRunner().invoke(export, ["--list", "--quick"]).stdout.split()[0] == recipe.id


def test_a_quick_export_leaves_out_the_further_formats_unless_named():
    def listed(*arguments: str) -> set[str]:
        ids = CliRunner().invoke(export, ["--list", *arguments]).stdout.split()
        return {id.split("-")[1] for id in ids}

    assert listed() - listed("--quick") == set(matrix.FURTHER)
    assert listed("--quick", "--only", "*-coreml-int4") == {"coreml"}
