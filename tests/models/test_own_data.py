"""The images beside a user's network: each mistake is one sentence that names the file, never a traceback."""

import numpy as np
import pytest

from models import deployed
from models.common.errors import DataError
from models.own.data import OwnData
from tests.models.conftest import IMAGES, LABELS, put, write


def named(name: str) -> dict[str, np.ndarray]:
    return {f"{name}_images": IMAGES, f"{name}_labels": LABELS}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": IMAGES.astype(np.int64)}, "images are int64. Give uint8"),
        ({"images": IMAGES[:, 0, 0]}, r"have the shape \[5, 3\]. Give \[N,H,W,C\]"),
        ({"images": np.zeros((5, 3, 32, 32), np.uint8)}, "channels first"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "images holds no images"),
        ({"images": np.full(IMAGES.shape, np.nan, np.float32)}, "not finite"),
        ({"labels": LABELS[:3]}, "there are 5 images and 3 labels"),
        ({"labels": LABELS - 1}, "labels holds -1"),
        ({"labels": LABELS + 0.5}, "labels are float64"),
        ({"labels": np.eye(5)}, r"labels.argmax\(1\)"),
        ({"calibration_images": IMAGES[:0]}, "calibration_images holds no images"),
        ({"calibration_images": IMAGES[:, :4]}, "of calibration are uint8 4x6x3, the first ones uint8 8x6x3"),
        ({"train_images": IMAGES}, "there is no array 'train_labels'"),
        ({"night_images": IMAGES}, "there is no array 'night_labels'"),
        ({"class_names": np.array([1, 2])}, "class_names is no list of texts"),
        ({"images": np.array([{}], object)}, "allow_pickle=False"),
        ({"images": np.full((5, 8, 6, 3), 1e300)}, "not finite"),
        *((named(name), "names no other evaluation set than net") for name in ("net", "a.b", "")),
    ],
    ids=str,
)
def test_images_and_labels_that_do_not_fit_are_one_sentence(folder, arrays, sentence):
    write(folder, **arrays)
    with pytest.raises(DataError, match=sentence):
        OwnData(folder, "net")


@pytest.mark.parametrize("content", [b"", b"PK garbage", b"\x93NUMPY", None], ids=repr)
def test_a_file_that_is_no_npz_is_one_sentence(folder, content):
    """The first reading opened whatever has the name: a FIFO, which nobody writes into, for ever."""
    if content is None:
        put("fifo", folder / "net.npz")
    else:
        (folder / "net.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as NumPy's npz"):
        OwnData(folder, "net")


@pytest.mark.parametrize(
    ("arrays", "dtype", "note"),
    [
        ({"train_image": IMAGES, **named("night")}, np.uint8, "train_image mean nothing here"),
        ({"images": IMAGES.astype(np.float64)}, np.float32, "images are taken as float32"),
        ({"images": IMAGES.astype(np.float16)}, np.float32, "images are taken as float32"),
    ],
    ids=["unread", "float64", "float16"],
)
def test_arrays_that_nothing_reads_and_floats_that_are_narrowed_are_told(folder, arrays, dtype, note):
    write(folder, **arrays)
    assert deployed.get("net").evaluation()[0].images.dtype == dtype
    assert deployed.get("net").data_notes == (f"{folder / 'net.npz'}: {note}",)


def test_evaluation_sets_are_named_and_the_first_judges_and_stands_in_for_calibration_images(folder):
    write(folder, "data.npz")
    images, note = deployed.get("net").calibration()
    assert len(images) == 5
    assert note == "calibrated on the images that it is judged on: data.npz holds no calibration_images"
    write(folder, **named("night"), calibration_images=IMAGES[:2], class_names=np.array(list("abcd")))
    network = deployed.get("net")
    assert [s.name for s in network.evaluation()] == ["net", "night"]
    assert (len(network.calibration()[0]), network.calibration()[1]) == (2, "")
    assert network.training() is None
    assert network.labels(4) == ("a", "b", "c", "d")
    with pytest.raises(DataError, match="net has 5 classes, and 4 names"):
        network.labels(5)
