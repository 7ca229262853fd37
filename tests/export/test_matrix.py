"""The matrix of recipes, and the schemes in the notation of edgewise.toml with those that a user adds."""

from contextlib import nullcontext

import pytest
from click.testing import CliRunner

from export import keys, matrix
from export.__main__ import command
from export.contract import options
from export.formats import FORMATS
from export.matrix import ALL, FURTHER, MATRIX, recipes, select
from export.schemes import SCHEMES, described, left_in_float, supported
from models import networks
from models.common.errors import Unsupported, UsageError
from models.own import settings
from models.own.settings import BASES, Options
from models.zoo import ZOO


def test_every_framework_of_the_zoo_has_rows_of_formats_and_schemes_that_exist():
    assert {ZOO[model].SPEC.framework for model in ZOO.names()} == set(MATRIX)
    for name, schemes in (pair for formats in MATRIX.values() for pair in formats.items()):
        assert FORMATS[name].suffix.startswith(".")
        assert set(schemes) <= set(SCHEMES)


def test_ids_are_unique_and_globs_select_by_id():
    assert len({recipe.id for recipe in recipes()}) == len(recipes())
    assert {r.model for r in select(("keras_*",))} == {"keras_cnn"}
    models = ("torch_cnn-tflite-int4", "torch_cnn_small-tflite-int4")
    several = [r.id for r in select(("*-tflite-int4", "keras_cnn-savedmodel-*"))]
    assert several == ["keras_cnn-tflite-int4", "keras_cnn-savedmodel-float32", *models]
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


UNBATCHED = ("eager", *FURTHER)  # formats without files for other batches than one
OWN = """
[schemes.few]
base = "int8"
images = 20
keep_float = ["conv*"]
[schemes.any]
base = "float32"
batch = "dynamic"
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / settings.FILE).write_text(OWN)
    (tmp_path / "net.pt2").write_bytes(b"")
    monkeypatch.setenv(networks.VARIABLE, str(tmp_path))
    return tmp_path


def test_the_file_holds_every_scheme_and_no_option_has_two_values_in_it(monkeypatch):
    monkeypatch.delenv(networks.VARIABLE, raising=False)
    assert tuple(SCHEMES) == BASES
    assert set(ALL) <= set(BASES)
    assert all(scheme.base == scheme.name for scheme in SCHEMES.values())
    for scheme in SCHEMES.values():
        assert scheme.in_force.given.items() <= SCHEMES.defaults.given.items()
    assert SCHEMES["int8"].in_force.images == 500
    assert SCHEMES["int4"].in_force.block == 32
    assert SCHEMES["qat_int8"].in_force.steps == 200


def test_a_users_scheme_changes_what_it_names_and_keeps_the_rest(own):
    few = SCHEMES["few"]
    assert few.options == Options(images=20, keep_float=("conv*",))
    assert few.in_force == Options(images=20, granularity="per_channel", keep_float=("conv*",))
    assert (few.title, few.max_error, few.static) == (SCHEMES["int8"].title, SCHEMES["int8"].max_error, True)
    assert described(few.options) == 'images = 20, keep_float = ["conv*"]'


def test_the_list_explains_every_scheme_by_its_options(own):
    message = CliRunner().invoke(command, ["--models", str(own), "--list", "--only", "*-tflite-*"]).stderr
    assert 'int8: 8-bit weights and activations, float in and out; images = 500, granularity = "per_channel"' in message
    assert 'any: as trained; batch = "dynamic"' in message


def test_an_artifact_becomes_stale_with_its_schemes_options_which_the_file_of_the_network_itself_has_none_of(own):
    ids = {recipe.id for recipe in matrix.recipes()}
    assert {"net-onnx-any", "net-executorch_portable-any", "net-torchscript-few", "net-eager-float32"} <= ids
    assert "net-eager-any" not in ids
    (recipe,) = matrix.select(("net-onnx-few",))
    before = keys.artifact_inputs(recipe, {})["recipe"]
    (own / settings.FILE).write_text(OWN.replace("20", "200"))
    assert keys.artifact_inputs(recipe, {})["recipe"] != before


@pytest.mark.parametrize("framework", MATRIX)
def test_formats_take_a_batch_or_say_that_they_do_not_understand_it(framework):
    for name, schemes in MATRIX[framework].items():
        for scheme in schemes:
            names = options(FORMATS[name], scheme)
            assert set(names) <= set(Options.__struct_fields__)
            refused = pytest.raises(Unsupported, match="here has no option batch")
            with refused if name in UNBATCHED else nullcontext():
                supported(Options(batch="dynamic"), names, "here")
    with pytest.raises(Unsupported, match=r"has no option block. It understands: batch"):
        supported(Options(block=32), options(FORMATS["onnx"], "float32"), "float32 of onnx")


def test_globs_name_the_operators_that_stay_in_float_and_one_that_names_none_says_so():
    names = left_in_float(["conv1", "conv2", "gemm1"], Options(keep_float=("*2", "gemm*")), "graph")
    assert names == ["conv2", "gemm1"]
    with pytest.raises(Unsupported, match=r"'dense' matches no operator of the file; there are: conv1"):
        left_in_float(["conv1"], Options(keep_float=("dense",)), "file")
