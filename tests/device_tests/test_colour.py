"""A network of 32x32x3 images and seven classes through the worker, the probe, the judge and the page.

The worker stands alone, so that it has its own arithmetic of images and logits: it must be the exporter's.
"""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from device_tests.onboard import pixels, probe
from device_tests.report.groups import group
from device_tests.report.page import page, pictures, snippets
from device_tests.transport.dialogue import file_arguments
from export import judge
from export.contract import Tensor
from models.images import network_input
from models.reference import EvaluationSet
from tests.device_tests.conftest import ID, MODEL, joined, save_artifact, save_reference
from tests.device_tests.report.page.conftest import data_of

SIDE, CHANNELS, CLASSES, IMAGES = 32, 3, 7, 120
NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "<gnu>")
SHAPES = {"chw": (1, CHANNELS, SIDE, SIDE), "hwc": (-1, SIDE, SIDE, CHANNELS)}


def pictures_of(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    """Images [N,32,32,3] whose channels differ, so that a scrambled one is another image."""
    images = rng.integers(0, 256, (count, SIDE, SIDE, CHANNELS), np.uint8) // np.array([1, 2, 4], np.uint8)
    return images if dtype == "uint8" else (images.astype(np.float32) / 100 - 1)


dtype = pytest.fixture(params=["uint8", "float32"], name="dtype")(lambda request: request.param)
layout = pytest.fixture(params=["chw", "hwc"], name="layout")(lambda request: request.param)


@pytest.fixture
def colour(folders, layout, dtype):
    """The bench, whose one artifact takes colour pictures in a layout."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(SIDE * SIDE * CHANNELS, CLASSES)).astype(np.float32)
    sets = []
    for count in (IMAGES, 30):
        images = pictures_of(rng, count, dtype)
        logits = network_input(images, layout).reshape(count, -1) @ weights
        sets.append({"images": images, "labels": logits.argmax(1), "logits": logits})
    others = {"at_night": EvaluationSet(**sets[1])}
    reference_set = save_reference(folders.bench.artifacts, "zoo_animals", **sets[0], others=others)
    content = base64.b64encode(reference_set.images[0].tobytes()).decode()
    golden = {"index": 0, "label": int(reference_set.labels[0]), "logits": [float(x) for x in reference_set.logits[0]],
              "image_u8" if dtype == "uint8" else "image_f32": content}  # fmt: skip
    save_artifact(
        folders.bench.artifacts,
        weights,
        inputs=(Tensor(name="image", shape=SHAPES[layout], dtype="float32"),),
        outputs=(Tensor(name="logits", shape=(SHAPES[layout][0], CLASSES), dtype="float32"),),
        dataset={"name": "zoo_animals", "split": "test", "sha256": "d" * 64, "images": IMAGES},
        layout=layout,
        labels=list(NAMES),
        golden=[golden],
    )
    return folders


def test_a_colour_network_is_judged_on_each_of_its_sets_and_the_probe_finds_its_golden_image(colour):
    row = colour.row(colour.runtime("honest"))
    assert (row.outcome, row.reason, row.total, row.agree) == ("ok", "", IMAGES, IMAGES)
    assert row.max_abs_error < 1e-2
    assert (row.sets["at_night"].total, row.sets["at_night"].agreement) == (30, 1.0)
    assert row.top5 is None

    folder = colour.bench.artifacts
    options = file_arguments(colour.runtimes / "honest.py", folder / f"{ID}.pt", folder / f"{ID}.json")
    argv = [sys.executable, probe.__file__, *options, "--count"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["golden"] == [1, 1]


def test_a_native_image_is_the_networks_input_in_every_layout(layout, dtype):
    images = pictures_of(np.random.default_rng(2), 4, dtype)
    tensor = {"shape": SHAPES[layout], "dtype": "float32", "scale": None}
    given = np.concatenate([pixels.native(image, tensor, layout) for image in images])
    np.testing.assert_array_equal(given, network_input(images, layout))
    assert given.flags.c_contiguous


def test_grey_images_go_into_networks_with_and_without_a_channel_and_other_sizes_are_refused_in_a_sentence():
    def side(*shape: int) -> dict:
        return {"shape": shape, "dtype": "float32", "scale": None}

    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for name, shape in (("hw", (1, 3, 4)), ("hwc", (1, 3, 4, 1)), ("chw", (1, 1, 3, 4))):
        for shown in (image, image[..., None]):
            native = pixels.native(shown, side(*shape), name)
            assert native.shape == shape
            np.testing.assert_array_equal(native.ravel(), image.ravel() / np.float32(255))
    with pytest.raises(ValueError, match=r"the images have the shape \[32, 32\], which as chw is not"):
        pixels.native(np.zeros((32, 32), np.uint8), side(1, 3, 32, 32), "chw")


def test_the_page_draws_colour_and_names_classes(colour, changed_worker, dtype, tmp_path):
    changed_worker("sampling", "NARROW = 0.02", "NARROW = 0.0")  # as many samples in each run: calls are counted
    flipping = "def answer(logits):\n    return np.roll(logits, 1) if calls > 1150 and calls % 5 == 0 else logits"
    colour.runtime("torch", flipping)
    colour.run(f"{ID}@torch@desktop")
    folders = {"artifacts_folder": colour.bench.artifacts, "results_folder": colour.bench.results}
    judged = tuple(row for row in joined(*folders.values()) if row.artifact == ID)
    assert judged[0].flips
    text = page.write(group(judged, 0.1), 0.1, tmp_path / "report", **folders).read_text()
    drawn = data_of(text)["pictures"][MODEL]
    assert {(p["height"], p["width"], p["channels"]) for p in drawn.values()} == {(SIDE, SIDE, CHANNELS)}
    assert all(len(base64.b64decode(p["bytes"])) == SIDE * SIDE * CHANNELS for p in drawn.values())
    assert len(drawn) > 1
    assert "<gnu>" not in text.replace("\\u003cgnu", "")
    assert "NOT MNIST" not in text
    parts = ("&lt;gnu&gt;", "<dt>on at_night</dt>", "at_night %", "zoo_animals", "loses most", "3 channels of a pixel")
    assert all(part in text for part in parts)
    assert ("from 0 to 1" in text) == (dtype == "uint8")


def test_the_python_code_of_a_snippet_puts_the_pixels_where_the_network_wants_them(colour, layout):
    image = pictures_of(np.random.default_rng(3), 1, "float32")[0]
    (code,) = (s.code for s in snippets.of(replace(colour.artifact, format="onnx")) if s.language == "Python")
    lines = [line for line in code.splitlines() if line.startswith(("planar", "native"))]
    names = {"np": np, "pixels": image.ravel().tolist()}
    exec("\n".join(lines), names)
    np.testing.assert_allclose(names["native"], network_input(image[None], layout), rtol=1e-6)
    assert '"ant", "bee"' in code


def test_pictures_of_any_size_become_small_ones():
    drawn = {(100, 200, 3): (25, 50, 3), (40, 30, 5): (40, 30, 1), (9, 8): (9, 8, 1)}
    for shape, small in drawn.items():
        image = (np.random.default_rng(4).normal(size=shape) * 50).astype("uint8" if shape[0] == 100 else "float32")
        picture = pictures.picture(image)
        assert (picture["height"], picture["width"], picture["channels"]) == small
        assert len(base64.b64decode(picture["bytes"])) == np.prod(small)


@given(
    dtype=st.sampled_from(("uint8", "int8", "int16")),
    scale=st.floats(1e-5, 100),
    zero_point=st.integers(-128, 255),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_exporter_and_the_worker_quantize_alike(dtype, scale, zero_point, seed):
    rng = np.random.default_rng(seed)
    tensor = Tensor(name="t", shape=(1, 4, 5, 3), dtype=dtype, scale=scale, zero_point=zero_point)
    image = rng.normal(0, 10 ** rng.uniform(-3, 3), (4, 5, 3)).astype(np.float32)
    native = pixels.native(image, to_builtins(tensor), "hwc")
    exported = judge.to_native(image[None], tensor)
    assert native.dtype == exported.dtype == dtype
    np.testing.assert_array_equal(native, exported)
    np.testing.assert_array_equal(pixels.dequantized(native, to_builtins(tensor)), judge.to_logits(native, tensor))
