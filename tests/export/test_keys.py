"""Which change makes which reference and artifact stale, tried on a copy of the sources."""

import shutil
from pathlib import Path

import pytest

from export import isolated, keys, matrix
from export.formats import FORMATS
from export.recipe import Recipe
from models.common.environments import ROOT
from tests.export.conftest import changed

MODEL = "torch_cnn_small"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("models", "export", "constraints"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("checkpoints", "__pycache__"))
    return tmp_path


def reference(tree: Path, model: str = MODEL, **digests: str) -> dict[str, str]:
    return keys.reference_inputs(model, **({"checkpoint_sha256": "c", "dataset_sha256": "d"} | digests), root=tree)


def artifact(tree: Path, format_name: str, model: str = MODEL, **digests: str) -> dict[str, str]:
    recipe = Recipe(model=model, format=format_name, scheme="float32")
    return keys.artifact_inputs(recipe, reference(tree, model, **digests), root=tree)


NETWORK = (f"models/zoo/{MODEL}.py", "models/frameworks/torch.py", "models/data.py", "models/checkpoints.py")
EXPORT = ("export/references.py", "export/source.py", "constraints/export.txt")
OTHERS = ("models/zoo/keras_cnn.py", "models/frameworks/keras.py", "models/common/errors.py", "constraints/torch.txt",
          "export/matrix.py", "export/run.py", "export/lane_client.py", "export/__main__.py")  # fmt: skip
TRIED = ("eager", "executorch", "executorch_portable", "onnx")
STALE = {  # by the file that changes
    **dict.fromkeys(NETWORK + EXPORT, ("reference", *TRIED)),
    **dict.fromkeys(OTHERS, ()),
    "export/formats/onnx.py": ("onnx",),
    "export/formats/executorch.py": ("executorch", "executorch_portable"),  # the portable artifacts are lowered there
}


@pytest.mark.parametrize("name", STALE)
def test_a_change_makes_stale_what_is_computed_from_it_and_nothing_else_and_says_why(tree, name):
    def inputs() -> dict[str, dict[str, str]]:
        return {"reference": reference(tree)} | {format_name: artifact(tree, format_name) for format_name in TRIED}

    before = inputs()
    with (tree / name).open("a") as file:
        file.write("\n# another\n")
    after = inputs()
    for kind in before:
        assert changed(before[kind], after[kind]) == ({name} if kind in STALE[name] else set())
        assert (keys.reference_key(before[kind]) != keys.reference_key(after[kind])) == (kind in STALE[name])


@pytest.mark.parametrize(("digest", "name"), [("checkpoint_sha256", "checkpoint"), ("dataset_sha256", "data set")])
def test_another_checkpoint_or_data_set_makes_both_stale(digest, name):
    assert changed(reference(ROOT), reference(ROOT, **{digest: "another"})) == {name}
    assert changed(artifact(ROOT, "onnx"), artifact(ROOT, "onnx", **{digest: "another"})) == {name}


@pytest.mark.parametrize("format_name", FORMATS.names())
def test_an_artifact_depends_on_its_format_its_lane_its_own_environment_and_how_it_is_judged(format_name):
    model = "keras_cnn" if format_name == "savedmodel" else MODEL
    inputs = {f"export/formats/{format_name}.py", "export/lane.py", "export/judge.py", "export/schemes.py"}
    if environment := isolated.ENVIRONMENTS.get(format_name):
        inputs |= {f"constraints/{environment}.txt", f"export/isolated/with_{format_name}.py"}
    assert inputs <= set(artifact(ROOT, format_name, model))
    assert all((ROOT / name).exists() for name in inputs)
    assert (format_name in isolated.pins(format_name)) == bool(environment), "versions that stand in the sidecar"


def test_the_shared_half_of_a_format_counts_only_where_it_is_imported():
    assert "export/formats/_tflite_torch.py" in artifact(ROOT, "tflite")
    assert not {n for n in artifact(ROOT, "torchscript") if "_tflite" in n or "_onnx" in n}


def test_no_two_recipes_have_one_key_in_which_the_order_of_inputs_does_not_count():
    inputs = {keys.reference_key(keys.artifact_inputs(r, reference(ROOT, r.model))) for r in matrix.recipes()}
    assert len(inputs) == len(matrix.recipes())
    assert keys.reference_key({"a": "1", "b": "2"}) == keys.reference_key({"b": "2", "a": "1"})
    assert keys.reference_key({"a": "1", "b": "2"}) != keys.reference_key({"a": "2", "b": "1"})
