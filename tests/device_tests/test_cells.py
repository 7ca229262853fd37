"""Which cells exist, listed without any framework, and which of them a quick run leaves out."""

import sys

import pytest
from click.testing import CliRunner

from device_tests.cells import Cell, cells, select
from device_tests.commands import run
from device_tests.onboard.runtimes import FURTHER, RUNTIMES, runs_on
from export import matrix
from export.__main__ import command as export
from export.recipe import Recipe
from models.common.errors import UsageError


def test_every_recipe_and_every_runtime_has_cells_with_ids_of_their_own():
    every = cells()
    assert {cell.recipe for cell in every} == set(matrix.recipes())
    assert {cell.runtime for cell in every} == {name for name in RUNTIMES.names() if runs_on(name, sys.platform)}
    assert len({cell.id for cell in every}) == len(every)
    eager = {(cell.recipe.framework, cell.runtime) for cell in every if cell.recipe.format == "eager"}
    assert eager == {("torch", "torch"), ("keras", "tensorflow")}


def test_a_glob_names_artifacts_or_cells_and_for_what_does_not_exist_the_error_suggests():
    torch = sum(cell.runtime == "torch" for cell in cells())
    counts = {"keras_cnn-savedmodel-float32": 1, "torch_cnn-tflite-int8": 5, "torch_cnn-tflite-int8@litert@desktop": 1}
    for pattern, expected in {**counts, "*@torch@*": torch}.items():
        assert len(select(cells(), runtimes=(), patterns=(pattern,))) == expected
    assert select(cells(), runtimes=("litert",), patterns=("*-onnx-*",)) == ()  # of another runtime: no error
    meant = {"torch_cnn-tflit-int8": "torch_cnn-tflite-int8", "torch_cnn-tflite-int8@litrt@desktop": "@litert@desktop"}
    for pattern, suggested in meant.items():
        with pytest.raises(UsageError, match=f"Did you mean .*{suggested}"):
            select(cells(), runtimes=(), patterns=(pattern,))
    with pytest.raises(UsageError, match="Did you mean litert"):
        select(cells(), runtimes=("litrt",), patterns=())


def planned(*runtimes: str, patterns: tuple[str, ...] = (), quick: bool = True) -> tuple[Cell, ...]:
    return run.plan(runtimes, patterns, (), quick=quick, full=False)


def test_a_quick_run_is_of_the_first_engines_unless_others_are_named_or_only_their_formats_wanted(monkeypatch):
    whole, quick = planned(quick=False), planned()
    formats, first_formats = ({cell.recipe.format for cell in cells} for cells in (whole, quick))
    assert formats - first_formats == {"coreml", "ncnn", "openvino"}
    assert {cell.runtime for cell in quick} & set(FURTHER) == set()
    assert {"openvino", "tflite_micro", "mil_evaluator", "ncnn"} <= {cell.runtime for cell in whole}
    for runtimes, pattern in ((("openvino",), "*"), ((), "torch_cnn-onnx-int8@openvino@*"), ((), "*-openvino-*")):
        named = {"patterns": (pattern,)}
        assert planned(*runtimes, **named) == planned(*runtimes, **named, quick=False) != ()
    recipe = Recipe(model="torch_cnn_small", format="coreml", scheme="int4")
    monkeypatch.setattr(matrix, "recipes", lambda: (recipe,))
    assert {cell.recipe for cell in planned()} == {recipe}
    assert CliRunner().invoke(export, ["--list", "--quick"]).stdout.split()[0] == recipe.id


def test_a_quick_export_leaves_out_the_further_formats_unless_named():
    def listed(*arguments: str) -> set[str]:
        ids = CliRunner().invoke(export, ["--list", *arguments]).stdout.split()
        return {id.split("-")[1] for id in ids}

    assert listed() - listed("--quick") == set(matrix.FURTHER)
    assert listed("--quick", "--only", "*-coreml-int4") == {"coreml"}
