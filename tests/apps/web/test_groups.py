"""Which networks can answer one picture, and what the page is told of them; for any size, values and classes."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from apps.web import catalogue, groups
from export.artifact import Artifact
from models.common.errors import DataError
from models.reference import Reference
from tests.apps.web.colours import DEVIATION, MEAN
from tests.device_tests import conftest

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(0, 1, (40, 6, 8, 3)).astype(np.float32)
BYTES = RNG.integers(0, 256, (40, 6, 8, 3), np.uint8)


def reference_of(images: np.ndarray, classes: int, model: str = "a") -> Reference:
    labels = RNG.integers(0, classes, len(images)).astype(np.int64)
    labels[0] = classes - 1
    return Reference(model=model, dataset=model, dataset_sha256="d", checkpoint_sha256="c" * 64, images=images,
                     labels=labels, logits=RNG.normal(size=(len(images), classes)).astype(np.float32))  # fmt: skip


def artifact(shape: tuple[int, ...], classes: int, layout: str = "hwc", model: str = "a", **facts) -> Artifact:
    inputs, outputs = ({"name": "t", "shape": sizes, "dtype": "float32"} for sizes in (shape, (-1, classes)))
    return conftest.artifact(f"{model}-tflite-int8", inputs=(inputs,), outputs=(outputs,), layout=layout, **facts)


def one(one_artifact: Artifact, reference: Reference) -> groups.Group:
    (group,) = groups.groups([one_artifact], {one_artifact.model: reference})
    return group


@pytest.mark.parametrize(
    ("shape", "layout", "images"),
    [((1, 6, 8, 3), "hwc", BYTES), ((-1, 3, 6, 8), "chw", BYTES), ((1, 6, 8), "hw", BYTES[..., 0])],
)
def test_the_size_is_read_in_the_inputs_layout(shape, layout, images):
    entry = one(artifact(shape, 7, layout), reference_of(images, 7)).json()
    assert (entry["height"], entry["width"], entry["channels"]) == (6, 8, 1 if layout == "hw" else 3)


@pytest.mark.parametrize("misfit", [((1, 8, 6, 3), 7), ((1, 6, 8, 3), 7, "chw"), ((1, 6, 8, 3), 8)])
def test_a_sidecar_that_does_not_fit_its_reference_is_refused(misfit):
    with pytest.raises(DataError, match=r"a-tflite-int8 says .* images of 6x8x3 and 7 classes. Make both again"):
        groups.groups([artifact(*misfit)], {"a": reference_of(BYTES, 7)})


def test_networks_of_one_size_kind_and_classes_answer_together_and_others_do_not():
    references = {"a": reference_of(BYTES, 7), "b": reference_of(BYTES, 7, "b"), "c": reference_of(FLOATS, 7, "c"),
                  "d": reference_of(BYTES[:, :4], 7, "d"), "e": reference_of(BYTES, 8, "e")}  # fmt: skip
    several = [artifact((1, *r.images.shape[1:]), r.logits.shape[1], model=model) for model, r in references.items()]
    several[1] = artifact((1, 3, 6, 8), 7, "chw", model="b")
    grouped = groups.groups(several, references)
    assert [[*group.references] for group in grouped] == [["a", "b"], ["c"], ["d"], ["e"]]
    named = artifact((1, 6, 8, 3), 7, model="b", labels=tuple("pqrstuv"))
    assert len(groups.groups([several[0], named], references)) == 2


def test_classes_without_names_are_numbered():
    assert one(artifact((1, 6, 8, 3), 7), reference_of(BYTES, 7)).json()["labels"] == tuple("0123456")
    named = artifact((1, 6, 8, 3), 7, labels=tuple("pqrstuv"))
    assert one(named, reference_of(BYTES, 7)).json()["labels"] == tuple("pqrstuv")


@pytest.mark.parametrize(("images", "low", "high"), [
    (BYTES, 0, 255), (RNG.random((9, 6, 8, 3), np.float32), 0, 1),
    (RNG.random((9, 6, 8, 3), np.float32) * 2 - 1, -1, 1), (BYTES.astype(np.float32), 0, 255),
])  # fmt: skip
def test_the_usual_ways_to_write_a_pictures_values_are_recognized(images, low, high):
    entry = one(artifact((1, 6, 8, 3), 7), reference_of(images, 7)).json()
    assert (entry["low"], entry["high"]) == ((low,) * 3, (high,) * 3)


def test_a_mean_and_deviation_per_channel_are_found_from_the_darkest_and_brightest_pixels():
    images = BYTES.copy()
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    entry = one(artifact((1, 6, 8, 3), 7), reference_of((images.astype(np.float32) / 255 - MEAN) / DEVIATION, 7)).json()
    assert np.allclose(entry["low"], -MEAN / DEVIATION, atol=1e-6)
    assert np.allclose(entry["high"], (1 - MEAN) / DEVIATION, atol=1e-6)


def test_images_without_spread_or_with_numbers_that_are_none_give_a_span_all_the_same():
    images = np.full((9, 6, 8, 3), 7, np.float32)
    images[0, 0, 0, 0] = np.nan
    entry = one(artifact((1, 6, 8, 3), 7), reference_of(images, 7)).json()
    assert (entry["low"], entry["high"]) == ((7,) * 3, (8,) * 3)


@pytest.mark.parametrize(
    ("images", "classes", "labels"), [(FLOATS, 7, "uint8"), (BYTES, 300, "uint16"), (BYTES, 256, "uint8")]
)
def test_a_reference_is_laid_out_as_the_page_is_told(images, classes, labels):
    reference = reference_of(images, classes)
    group = one(artifact((1, 6, 8, 3), classes), reference)
    entry = group.json()
    assert entry["dtype"] == images.dtype.name
    assert entry["references"] == {"a": {"count": 40, "labels": labels, "classes": classes}}
    content, at = groups.reference_bytes(reference, 39), 0
    for array, dtype in ((images, entry["dtype"]), (reference.labels, labels), (reference.logits, "float32")):
        expected = array[:39].astype(np.dtype(dtype).newbyteorder("<")).tobytes()
        assert content[at : at + len(expected)] == expected
        at += len(expected)
    assert at == len(content)


def test_large_images_are_fewer(monkeypatch):
    reference = reference_of(FLOATS, 7)
    monkeypatch.setattr(groups, "REFERENCE_BYTES", 20 * FLOATS[0].nbytes)
    assert groups.reference_images(reference) == 20
    monkeypatch.setattr(groups, "REFERENCE_BYTES", 1)
    assert groups.reference_images(reference) == groups.LEAST_IMAGES
    monkeypatch.setattr(catalogue, "EXAMPLE_BYTES", 8 * FLOATS[0].nbytes)
    assert len(catalogue.examples({"a": reference_of(FLOATS, 300)}, ())) == 8
    assert len(catalogue.examples({"a": reference_of(FLOATS, 300)}, (), shares=2)) == catalogue.LEAST_EXAMPLES


def test_examples_of_many_classes_are_a_few_from_all_over_with_their_own_values():
    reference = reference_of(np.repeat(FLOATS, 10, 0), 300)
    shown = catalogue.examples({"a": reference}, ())
    assert len(shown) == catalogue.MOST_LABELS
    labels = [example["label"] for example in shown]
    assert labels == sorted(labels)
    assert labels[0] == reference.labels.min()
    assert labels[-1] == 299
    pixels = np.frombuffer(base64.b64decode(shown[3]["image_f32"]), "<f4").reshape(6, 8, 3)
    assert np.array_equal(pixels, reference.images[shown[3]["index"]])


def test_no_file_of_the_app_but_the_drawings_knows_the_digits():
    app = Path(groups.__file__).parent
    for file in (*app.glob("*.py"), *(app / "src").rglob("*.js")):
        assert file.name == "ink.js" or not re.findall(r"\b(28|784)\b", file.read_text()), file
