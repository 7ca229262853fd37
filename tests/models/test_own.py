"""A user's own networks and what lies beside them: each mistake is one sentence that names the file, never a traceback."""

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from export import artifact as artifacts
from export import planning
from export import source as source_module
from export.__main__ import command
from export.matrix import ONNX
from export.source import Source
from models import deployed, networks
from models.common import files
from models.common.errors import DataError, UsageError, did_you_mean
from models.own import settings
from models.own.data import OwnData
from tests.device_tests.conftest import artifact
from tests.models.conftest import IMAGES, LABELS, put, write


def export(folder: Path, *options: str) -> None:
    command.main(["--models", str(folder), *options], standalone_mode=False)


def test_networks_are_listed_by_their_files_with_their_framework_and_without_a_folder_the_zoos(folder, monkeypatch):
    for name in ("other.keras", "old.h5", "layers.weights.h5"):
        (folder / name).write_bytes(b"")
    (folder / "code.py").write_text("from torch import nn\ndef network(): ...\n")
    (folder / "layers.py").write_text("import keras\nfrom keras import layers\ndef network(): ...\n")
    (folder / "helper.py").write_text("def something_else(): ...\n")
    (folder / ".hidden.pt2").write_bytes(b"")
    frameworks = {name: networks.framework(name) for name in networks.names()}
    assert frameworks == {"net": "torch", "other": "keras", "old": "keras", "code": "torch", "layers": "keras"}
    assert networks.default("results") == folder / "results"
    monkeypatch.delenv(networks.VARIABLE)
    assert "torch_cnn" in networks.names()
    assert networks.default("results") == Path("results")


@pytest.mark.parametrize("grouped", [True, False])
def test_images_that_lie_class_by_class_are_mixed_and_that_is_said(folder, grouped):
    classes = np.repeat(np.arange(4), 50)
    labels = classes if grouped else np.random.default_rng(1).permutation(classes)
    images = np.broadcast_to(labels[:, None, None].astype(np.uint8), (200, 8, 6))
    write(folder, images=images, labels=labels)
    (judged,) = deployed.get("net").evaluation()
    assert (judged.images[:, 0, 0] == judged.labels).all()
    assert set(judged.labels[:30]) == {0, 1, 2, 3}
    assert np.array_equal(judged.labels, labels) == (not grouped)
    assert any("had the images of a class together" in note for note in deployed.get("net").data_notes) == grouped


def test_code_in_folders_below_is_the_networks_too_but_no_environment(folder):
    for name in ("code.py", "blocks/act.py", ".venv/lib/other.py", "env/site-packages/other.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("from torch import nn\ndef network(): ...\n" if name == "code.py" else "")
    (folder / "code.pt").write_bytes(b"")
    assert [f.relative_to(folder).as_posix() for f in deployed.get("code").code()] == ["blocks/act.py", "code.py"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a-b.pt2": ""}, "cannot be part of an id: 'a-b'.*for example a_b.pt2"),
        ({"-.pt2": ""}, "for example network.pt2"),
        ({"a b.keras": ""}, "cannot be part of an id: 'a b'"),
        ({"twin.keras": "", "twin.pt2": ""}, "have one name"),
        ({"net2.py": "def network(:"}, "no Python file that can be read: invalid syntax"),
        ({"code.py": None}, "no Python file that can be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_keeps_no_other_from_being_exported(folder, files, sentence):
    for name, text in files.items():
        put("fifo", folder / name) if text is None else (folder / name).write_text(text)
    assert networks.names() == ("net",)
    (problem,) = networks.left_out()
    assert re.search(sentence, problem)
    (folder / "net.pt2").unlink()
    with pytest.raises(DataError, match=sentence):
        networks.names()


def test_a_folder_without_networks_of_a_framework_and_none_at_all_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(networks.VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="holds no network"):
        networks.names()
    (tmp_path / "mine.py").write_text("def net(): ...\n")
    files.write_bytes(tmp_path / "served" / "saved_model.pb", b"")
    (tmp_path / "mine.onnx").write_bytes(b"")
    lacks = "mine.py defines no function `network`. mine.onnx, served: weights alone, or a network that is converted"
    with pytest.raises(DataError, match=lacks):
        networks.names()
    (tmp_path / "code.py").write_text("def network(): ...\n")
    with pytest.raises(DataError, match="imports neither of PyTorch and Keras"):
        networks.framework("code")
    monkeypatch.setenv(networks.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UsageError, match="is no folder"):
        networks.names()


def test_a_file_in_the_place_of_the_folder_and_the_zoos_data_for_a_users_networks_are_refused(folder):
    write(folder)
    with pytest.raises(UsageError, match=f"is a file. Say which folder holds your networks: --models {folder}$"):
        export(folder / "net.pt2", "--list")
    with pytest.raises(UsageError, match="leave --data away"):
        export(folder, "--data", "digits")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("labels = 3", "labels at the top is 3: Expected a list, got a whole number"),
        ("label = []", "there is no 'label' at the top. Did you mean labels?"),
        ("labels = [", "cannot be used: Invalid value"),
        ("labels = ['a', 2]", r"labels at the top is \['a', 2\]: Expected a text"),
        ("schemes.x = 1", r"schemes.x is no table: write \[schemes.x\]"),
        ("[schemes.x]\nimages = 2", r"there is no 'base' in \[schemes.x\]; it may be float32, .*qat_int8"),
        ("[schemes.x]\nbase = 'int'", "it may be float32, .*qat_int8. Did you mean int8"),
        ("[schemes.x]\nbase = 'int8'\ncalibration = 'precentile'", "minmax, percentile, mse. Did you mean percentile?"),
        ("[schemes.x]\nbase = 'int8'\nblok = 3", r"there is no 'blok' in \[schemes.x\]. Did you mean block?"),
        ("[schemes.x]\nbase = 'int8'\nbatch = 0", "batch .* is 0; it may be dynamic or a whole number from 1 to 256"),
        ("[schemes.x]\nbase = 'int8'\nbatch = 'any'", "is 'any'; it may be dynamic or a whole number"),
        ("[schemes.x]\nbase = 'int4'\nblock = 17", "is 17; it may be 16, 32, 64, 128, 256"),
        ("[schemes.x]\nbase = 'int8'\nkeep_float = 'a'", "keep_float .* is 'a': Expected a list, got a text"),
        ("[schemes.x-y]\nbase = 'int8'", "is no word of letters"),
        ("[schemes.int8]\nbase = 'int8'", "the name of one of Edgewise's own"),
    ],
)
def test_settings_that_cannot_be_used_name_the_mistake(folder, text, sentence):
    (folder / settings.FILE).write_text(text)
    with pytest.raises(DataError, match=sentence):
        settings.load(folder)


def test_settings_choose_recipes_and_name_classes(folder, capsys):
    text = 'recipes = ["*-onnx-*"]\n[networks.net]\nlabels = ["x", "y"]\n'
    (folder / settings.FILE).write_text(text, "utf-8-sig")  # with the mark that some editors put first
    write(folder)
    assert deployed.get("net").labels(2) == ("x", "y")
    export(folder, "--list")
    assert capsys.readouterr().out.split() == [f"net-onnx-{scheme}" for scheme in ONNX]
    (folder / settings.FILE).write_text('recipes = ["nothing-*"]')
    with pytest.raises(DataError, match="matches no artifact"):
        export(folder, "--list")
    (folder / settings.FILE).write_text('[networks.nett]\nlabels = ["x", "y"]\n')
    with pytest.raises(DataError, match=r"\[networks.nett\] in .* is no network. Did you mean net"):
        export(folder, "--list")
    (folder / settings.FILE).unlink()
    (folder / settings.FILE).symlink_to("nothing")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        export(folder, "--list")


def test_networks_of_which_something_is_missing_are_named_at_once_and_keep_no_other_back(folder, monkeypatch, capsys):
    (folder / "other.keras").write_bytes(b"")
    with pytest.raises(DataError, match=r"net.npz is not there[\s\S]*other.npz is not there"):
        export(folder, "--logs", str(folder / "logs"))
    assert not (folder / "artifacts").exists()
    write(folder)
    (folder / "third-one.pt2").write_bytes(b"")
    planned = []
    monkeypatch.setattr(planning, "plan", lambda recipes, **options: planned.extend(recipes) or ())
    artifacts.save(artifact("net-onnx-float32", outcome="unsupported", reason="as it is"), folder / "artifacts")
    with pytest.raises(DataError, match=r"2 of what[\s\S]*other.npz is not there[\s\S]*third_one.pt2"):
        export(folder, "--only", "*-onnx-float32")
    assert [recipe.id for recipe in planned] == ["net-onnx-float32"]
    shown = capsys.readouterr()
    assert "left out: " in shown.err
    assert "unsupported: as it is" in shown.out


def test_the_converters_logs_lie_in_the_folder_that_the_user_typed_and_hints_name_it(folder):
    (logs,) = (option for option in command.params if option.name == "logs")
    assert logs.get_default(click.Context(command)) == folder / "logs"
    with pytest.raises(DataError, match=f"nox -s export -- --models {folder} --only net-onnx-int8"):
        artifacts.read(folder / "net-onnx-int8.json")
    suggestion = did_you_mean("zzz", [f"network{i:03}-onnx-float32" for i in range(100)])
    assert suggestion.endswith("network015-onnx-float32 and 84 more."), "a list ends with a whole name"


def test_code_without_weights_names_the_files_that_it_may_have(folder):
    (folder / "code.py").write_text("import torch\nLABELS = ['a', 'b']\ndef network(): ...\n")
    write(folder, "code.npz")
    with pytest.raises(DataError, match=r"Save them as one of: code.safetensors, code.pt, code.pth"):
        deployed.get("code").read()
    assert deployed.get("code").labels(2) == ("a", "b")


WORDS = ("labels", "recipes", "networks", "schemes", "base", "batch", "images", "keep_float", "x")
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TABLES = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
)
NAMES = st.sampled_from(("images", "labels", "calibration_images", "night_images", "night_labels", "class_names"))
TYPES = st.sampled_from(("u1", "f4", "f8", "i8", "?", "c8", "U3"))
ARRAYS = hypothesis_numpy.arrays(TYPES, hypothesis_numpy.array_shapes(max_dims=5, max_side=4))


@given(TABLES)
@settings_of_hypothesis(max_examples=200)
def test_no_table_of_any_shape_gives_a_traceback(content):
    """Everything that a TOML file can hold is settings, or one sentence."""
    table = content if isinstance(content, dict) else {"labels": content}
    with contextlib.suppress(ValueError):
        settings._check(table, settings.Settings, "")
        settings.records.convert(table, settings.Settings)


@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=4), drawn=st.data())
@settings_of_hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_npz_of_any_content_gives_a_traceback(folder, arrays, drawn):
    """Arrays of any type and shape under the names that count are read, or refused in one line that names the file."""
    file = folder / "net.npz"
    np.savez(file, **arrays)
    content = bytearray(file.read_bytes())
    if drawn.draw(st.booleans()):
        content = content[: drawn.draw(st.integers(0, len(content)))]
    elif content and drawn.draw(st.booleans()):
        content[drawn.draw(st.integers(0, len(content) - 1))] ^= 0xFF
    file.write_bytes(content)
    try:
        OwnData(folder, "net")
    except DataError as error:
        message = str(error)
    else:
        message = f"{file} is read"
    assert message.startswith(str(file))
    assert "\n" not in message


@pytest.fixture
def source(folder, monkeypatch) -> Source:
    """A network of four classes for images of 8x6 in three channels, without a framework."""
    functions = {"input_shape": lambda _: (3, 8, 6), "logits": lambda _, images: np.zeros((len(images), 4), np.float32)}
    monkeypatch.setattr("export.source.FRAMEWORKS", {"torch": SimpleNamespace(**functions)})
    loaded = Source("net")
    loaded.network = object()
    return loaded


def test_whatever_a_network_raises_is_one_sentence_with_what_is_wrong_after_the_layers_name(
    folder, source, monkeypatch
):
    """Keras' own errors ended the lane with a traceback: channels that come first, which TensorFlow computes on GPUs only."""

    class UnimplementedError(Exception):
        pass

    def logits(network, images):
        raise UnimplementedError(
            "Exception encountered when calling Conv2D.call().\n\nThe op only supports NHWC on the CPU"
        )

    write(folder)
    monkeypatch.setattr(source_module.FRAMEWORKS["torch"], "logits", logits)
    with pytest.raises(
        DataError, match=r"^net does not answer an image of 3x8x6: Exception .*call\(\)\. The op only supports"
    ):
        _ = source.classes


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"labels": LABELS + 4}, r"net has 4 classes, but the set net in .*net.npz holds the label 7"),
        ({"night_images": IMAGES, "night_labels": LABELS + 1}, r"the set night in .*net.npz holds the label 4"),
        ({"images": IMAGES[:, :4]}, r"net takes images of 3x8x6 .*, those in .*net.npz are 4x6x3"),
        ({"images": IMAGES[..., 0]}, r"those in .*net.npz are 8x6 "),
    ],
    ids=["label", "label of another set", "size", "channels"],
)
def test_images_that_are_not_the_networks_name_their_file(folder, source, arrays, sentence):
    write(folder, **arrays)
    with pytest.raises(DataError, match=sentence):
        _ = source.classes
