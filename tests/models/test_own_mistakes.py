"""What a user may hand over by mistake: every kind of it is one sentence that names the file, never a traceback."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from export.source import Source
from models.common.errors import DataError
from models.own import data, settings
from tests.models.conftest import IMAGES, LABELS, write

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
        data.load(folder, "net")
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
