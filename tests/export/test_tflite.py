"""TFLite: real conversions of the small PyTorch network (see also test_lane.py) and of a tiny Keras one, in every scheme."""

from pathlib import Path

import numpy as np
import pytest

from export import judge
from export.formats import FORMATS
from export.matrix import ALL
from export.schemes import SCHEMES
from export.source import Source
from models import data
from models.common.errors import Unsupported
from tests.export.conftest import differing

pytestmark = pytest.mark.slow

WEIGHTS = {scheme: {SCHEMES[scheme].weights: 50_696} for scheme in ALL} | {
    "dynamic_int8": {"int8": 50_176, "float32": 520},  # TensorFlow leaves layers of less than 1,024 weights alone
    "int4": {"int4": 50_496, "int8": 200},
}


class TinyKeras(Source):
    """keras_cnn's frame around a network of its own, untrained: its 3 million weights would fine-tune for a minute."""

    def fresh_network(self):
        import keras
        from keras import layers

        keras.utils.set_random_seed(0)
        network = [
            keras.Input((28, 28, 1), name="image"),
            layers.Rescaling(1 / data.STD, offset=-data.MEAN / data.STD),
            layers.Conv2D(8, 5, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="dense"),
            layers.Dropout(0.4),
            layers.Dense(10, name="logits"),
        ]
        return keras.Sequential(network)


@pytest.fixture(scope="module", params=["torch", "keras"])
def source(request: pytest.FixtureRequest) -> Source:
    return Source("torch_cnn_small", "digits") if request.param == "torch" else TinyKeras("keras_cnn", "digits")


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(source.model)
    for scheme in ALL:
        FORMATS["tflite"].convert(source, scheme, folder / f"{scheme}.tflite")
    return folder


def file_logits(path: Path, grey: np.ndarray) -> np.ndarray:
    contents = FORMATS["tflite"].inspect(path)
    native = FORMATS["tflite"].run(path, judge.to_native(grey, contents.inputs[0]))
    return judge.to_logits(native, contents.outputs[0])


@pytest.mark.parametrize("source", ["keras"], indirect=True)
@pytest.mark.parametrize("scheme", ALL)
def test_a_file_answers_as_the_network_and_holds_what_contract_and_scheme_promise(scheme, source, folder, images):
    contents = FORMATS["tflite"].inspect(folder / f"{scheme}.tflite")
    given, expected = file_logits(folder / f"{scheme}.tflite", images), source.logits(images)
    dtype = "uint8" if scheme == "int8_io" else "float32"
    assert [(t.name, t.shape, t.dtype) for t in contents.inputs] == [("image", (1, *source.input_shape), dtype)]
    assert [(t.name, t.shape, t.dtype) for t in contents.outputs] == [("logits", (1, 10), dtype)]
    assert contents.weights == WEIGHTS[scheme]
    assert np.isfinite(given).all()
    if scheme != "qat_int8":  # fine-tuning an untrained network trains it
        assert np.abs(given - expected).max() <= SCHEMES[scheme].max_error * np.ptp(expected)
        assert (given.argmax(1) == expected.argmax(1)).mean() >= 0.9
    assert ("fine-tuned" in " ".join(contents.notes)) == (scheme == "qat_int8")
    if scheme in ("int8", "int16x8"):
        assert not [note for note in contents.notes if "float32" in note], "a static graph computes nothing in float"


def test_uint8_in_and_out_gives_exactly_what_float_in_and_out_gives(folder, images):
    assert np.array_equal(file_logits(folder / "int8_io.tflite", images), file_logits(folder / "int8.tflite", images))
    assert FORMATS["tflite"].inspect(folder / "int8_io.tflite").inputs[0].scale == pytest.approx(1 / 255, rel=1e-3)


def test_the_logits_range_is_calibrated_whole_not_averaged(source, folder):
    """litert-quantizer's default keeps a moving average of it, which clips the logits of real digits by 10."""
    output = FORMATS["tflite"].inspect(folder / "int8_io.tflite").outputs[0]
    logits = source.logits(source.calibration)
    assert output.scale * 255 == pytest.approx(logits.max() - logits.min(), rel=0.1)


@pytest.mark.parametrize("scheme", ALL)
def test_the_delegate_takes_the_graph_in_one_piece_unless_a_note_says_otherwise(scheme, folder):
    from ai_edge_litert.interpreter import Interpreter

    path = folder / f"{scheme}.tflite"
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    delegates = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    slow = any("XNNPACK takes none" in note for note in FORMATS["tflite"].inspect(path).notes)
    assert (len(delegates), slow) == ((0, True) if scheme == "int16x8" else (1, False))


@pytest.mark.parametrize("scheme", ALL)
def test_weights_are_aligned_as_the_schema_says(scheme, folder):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs((folder / f"{scheme}.tflite").read_bytes(), 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert starts
    assert all(start % 16 == 0 for start in starts)


def test_what_stayed_wide_in_a_mixed_file_is_said(source, folder):
    notes = " ".join(FORMATS["tflite"].inspect(folder / "int4.tflite").notes)
    dense, convolution = {"torch": ("50x320", "20x5x5x10"), "keras": ("32x1568", "8x5x5x1")}[source.framework]
    assert f"weights in int4: FULLY_CONNECTED {dense}" in notes
    assert f"weights in int8: CONV_2D {convolution}" in notes


def test_fine_tuning_learns_through_the_rounding(source, folder):
    digits = data.load("train", "digits")
    grey = source.input(digits.images[:200])
    right = {s: (file_logits(folder / f"{s}.tflite", grey).argmax(1) == digits.labels[:200]).mean() for s in ALL}
    assert right["qat_int8"] > right["int8"]


def test_a_graph_that_is_not_int8_gets_no_uint8_ends(folder):
    from export.formats import _tflite_file

    with pytest.raises(Unsupported, match="begins with QUANTIZE"):
        _tflite_file.with_uint8_io((folder / "float32.tflite").read_bytes())


@pytest.mark.parametrize("source", ["keras"], indirect=True)
def test_another_process_elsewhere_in_another_order_gives_the_same_bytes(source, folder, tmp_path):
    assert not differing(source, folder, tmp_path, {f"{scheme}.tflite": ("tflite", scheme) for scheme in ALL})
