"""What the page makes of pictures and answers, run by Node.js, against NumPy."""

import base64
import json
import subprocess
from functools import partial

import numpy as np
import pytest

from apps.web import build, catalogue
from models.images import network_input

pytestmark = pytest.mark.needs("node")

RNG = np.random.default_rng(1)
BYTES = RNG.integers(0, 256, (6, 8, 3), np.uint8)
GREY = BYTES[..., :1]
FLOATS = RNG.normal(0, 3, (6, 8, 3)).astype(np.float32)
DIGITS = {"height": 28, "width": 28, "channels": 1, "labels": [*"0123456789"]}


def node(module: str, expression: str, *arguments):
    """Return what an expression of a module's exports `m` and of arguments `a` is; typed arrays become lists."""
    code = f"""
      const m = await import({json.dumps((build.SOURCE / module).as_uri())});
      const a = JSON.parse(await new Promise((all) => {{ let text = ""; process.stdin.on("data", (c) => (text += c)).on("end", () => all(text)); }}));
      let answer;
      try {{ answer = {expression}; }} catch (error) {{ answer = {{ error: error.message }}; }}
      console.log(JSON.stringify(answer, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v)));
    """
    command = ["node", "--input-type=module", "--eval", code]
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sidecar(image: np.ndarray, layout: str, dtype: str = "float32", classes: int = 7, **quantized) -> dict:
    shape = {"hwc": image.shape, "chw": (image.shape[-1], *image.shape[:2]), "hw": image.shape[:2]}[layout]
    exact = {"scale": None, "zero_point": None} | quantized
    return {"layout": layout, "inputs": [{"shape": [-1, *shape], "dtype": dtype, **exact}],
            "outputs": [{"shape": [-1, classes], "dtype": dtype, **exact}]}  # fmt: skip


NATIVE = "m.native(m.stored(a[0], m.size(a[1])), a[1])"


@pytest.mark.parametrize(
    ("image", "layout"),
    [(BYTES, "hwc"), (BYTES, "chw"), (FLOATS, "hwc"), (FLOATS, "chw"), (GREY, "hwc"), (GREY, "chw"), (GREY, "hw")],
)
def test_a_picture_is_transposed_as_python_transposes_it(image, layout):
    ours = node("tensors.js", NATIVE, catalogue.pixels(image), sidecar(image, layout))
    one = image[None] if image.shape[-1] == 3 else image[None, ..., 0]
    assert np.array_equal(np.float32(ours), network_input(one, layout)[0].ravel())


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("uint8", 131), ("int8", -5)])
@pytest.mark.parametrize("image", [BYTES, FLOATS], ids=["bytes", "floats"])
def test_quantized_inputs_are_rounded_and_clipped_as_numpy_does(image, dtype, zero_point):
    scale = 0.0125
    described = sidecar(image, "chw", dtype, scale=scale, zero_point=zero_point)
    ours = node("tensors.js", NATIVE, catalogue.pixels(image), described)
    exact = network_input(image[None], "chw")[0].astype(np.float64).ravel()
    bounds = np.iinfo(dtype)
    assert np.array_equal(ours, np.clip(np.rint(exact / scale) + zero_point, bounds.min, bounds.max))


def test_a_picture_of_another_size_or_a_type_that_is_not_known_is_refused():
    short = {"image_u8": base64.b64encode(bytes(5)).decode()}
    refusal = node("tensors.js", NATIVE, short, sidecar(BYTES, "chw"))
    assert refusal == {"error": "The picture has 5 values, the artifact takes 3×6×8."}
    refusal = node("tensors.js", NATIVE, catalogue.pixels(BYTES), sidecar(BYTES, "chw", "float64"))
    assert refusal == {"error": "It takes float64, which this page cannot make of a picture."}


@pytest.mark.parametrize("classes", [7, 300])
def test_there_is_a_logit_for_each_class(classes):
    scores = RNG.normal(size=classes).round(3).tolist()
    tensor = sidecar(BYTES, "hwc", classes=classes)["outputs"][0]
    assert np.allclose(node("tensors.js", "m.logits(Float32Array.from(a[0]), a[1])", scores, tensor), scores)
    wrong = node("tensors.js", "m.logits(Float32Array.from(a[0]), a[1])", scores[1:], tensor)
    assert wrong == {"error": f"The answer is Float32Array of {classes - 1}, the sidecar says float32 of {classes}."}
    assert node("tensors.js", "m.choice(a[0])", scores) == int(np.argmax(scores))


def test_bytes_of_a_photograph_become_the_values_that_the_networks_know():
    group = {"height": 6, "width": 8, "channels": 3, "dtype": "float32", "low": [-1, 0, -2], "high": [1, 255, 2.5]}
    prepare = partial(node, "pictures.js", "m.ofBytes(Uint8Array.from(a[0]), a[1]).data")
    ours = prepare(BYTES.ravel().tolist(), group)
    low, high = np.array(group["low"]), np.array(group["high"])
    assert np.allclose(np.reshape(ours, BYTES.shape), low + BYTES / 255 * (high - low), atol=1e-4)
    assert prepare([1, 2, 3], {**group, "dtype": "uint8"}) == [1, 2, 3]


@pytest.mark.parametrize(("change", "fits"), [
    ({}, True), ({"channels": 3}, False), ({"height": 32}, False), ({"labels": [*"012345678"]}, False),
    ({"labels": ["shirt", *"123456789"]}, False),
])  # fmt: skip
def test_digits_are_drawn_and_nothing_else(change, fits):
    assert node("ink.js", "m.fits(a[0])", DIGITS | change) is fits


def test_long_names_are_cut_in_sentences_and_classes_without_a_name_have_their_number():
    assert node("names.js", "m.cut(a[0])", "x" * 41) == "x" * 39 + "…"
    assert node("names.js", "[m.named({labels: ['a']}, 0), m.named({labels: ['a']}, 7)]") == ["a", "7"]
