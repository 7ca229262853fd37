from __future__ import annotations

import pytest

from export import matrix
from export.formats import FORMATS
from export.matrix import MATRIX, recipes, select
from export.schemes import SCHEMES
from models.errors import UsageError
from models.zoo import ZOO


def test_every_row_names_a_format_and_schemes_that_exist():
    for formats in MATRIX.values():
        for name, schemes in formats.items():
            assert FORMATS[name].suffix.startswith(".")
            assert set(schemes) <= set(SCHEMES)


def test_every_framework_of_the_zoo_has_rows():
    assert {ZOO[model].SPEC.framework for model in ZOO.names()} == set(MATRIX)


def test_ids_are_unique():
    ids = [recipe.id for recipe in recipes()]
    assert len(ids) == len(set(ids))
    assert "torch_cnn-executorch-int8" in ids


def test_globs_select_by_id():
    assert {r.model for r in select(("keras_*",))} == {"keras_cnn"}
    assert [r.id for r in select(("*-tflite-int4", "keras_cnn-savedmodel-*"))] == [
        "keras_cnn-tflite-int4",
        "keras_cnn-savedmodel-float32",
        "torch_cnn-tflite-int4",
        "torch_cnn_small-tflite-int4",
    ]
    assert select(()) == recipes()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("torch_cn-onnx-int8", "no model 'torch_cn'.*Did you mean torch_cnn"),
        ("torch_cnn-onx-int8", "no format 'onx'.*Did you mean onnx"),
        ("torch_cnn-onnx-int9", "no scheme 'int9'.*Did you mean int"),
        ("torch_cnn-savedmodel-float32", "torch_cnn is exported to: .*tflite"),
        ("keras_cnn-onnx-int16x8", "onnx of keras_cnn comes in: .*int8"),
        ("onnx", "An id is MODEL-FORMAT-SCHEME"),
    ],
)
def test_a_glob_that_matches_nothing_says_which_part_is_wrong(pattern, message):
    with pytest.raises(UsageError, match=message):
        matrix.select((pattern,))
