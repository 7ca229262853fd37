"""Which cells exist, listed without any framework."""

import sys

import pytest

from device_tests.cells import cells, select
from device_tests.onboard.runtimes import RUNTIMES, runs_on
from export import matrix
from models.common.errors import UsageError


def test_every_recipe_and_every_runtime_has_cells_with_ids_of_their_own():
    every = cells()
    assert {cell.recipe for cell in every} == set(matrix.recipes())
    assert {cell.runtime for cell in every} == {name for name in RUNTIMES.names() if runs_on(name, sys.platform)}
    assert len({cell.id for cell in every}) == len(every)
    eager = {(cell.recipe.framework, cell.runtime) for cell in every if cell.recipe.format == "eager"}
    assert eager == {("torch", "torch"), ("keras", "tensorflow")}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("keras_cnn-savedmodel-float32", 1),
        ("torch_cnn-tflite-int8", 5),
        ("torch_cnn-tflite-int8@litert@desktop", 1),
        ("*@torch@*", sum(cell.runtime == "torch" for cell in cells())),
    ],
)
def test_a_glob_names_artifacts_or_cells(pattern, expected):
    assert len(select(cells(), runtimes=(), patterns=(pattern,))) == expected
    assert select(cells(), runtimes=("litert",), patterns=("*-onnx-*",)) == ()  # of another runtime: no error


def test_what_does_not_exist_is_an_error_that_suggests():
    meant = {"torch_cnn-tflit-int8": "torch_cnn-tflite-int8", "torch_cnn-tflite-int8@litrt@desktop": "@litert@desktop"}
    for pattern, suggested in meant.items():
        with pytest.raises(UsageError, match=f"Did you mean .*{suggested}"):
            select(cells(), runtimes=(), patterns=(pattern,))
    with pytest.raises(UsageError, match="Did you mean litert"):
        select(cells(), runtimes=("litrt",), patterns=())
