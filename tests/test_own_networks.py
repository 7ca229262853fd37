"""Networks of other shapes than the zoo's through every toolchain and every desktop runtime, as their owner would type it."""

import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from device_tests.results import measurement
from export import artifact as artifacts
from models.common.environments import ROOT

pytestmark = pytest.mark.slow
SIDE, CLASSES = 24, 7
IMAGES = 120

# run in the environment of the exporters, once per folder
COLOUR = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.pointwise = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.SiLU(), nn.Conv2d(8, 16, 1), nn.Sigmoid())
        self.head = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 32), nn.GELU(), nn.Linear(32, 7))
    def forward(self, x):
        x = self.stem(x)
        y = self.pointwise(self.depthwise(x))
        return self.head(x + y * self.squeeze(y))
torch.manual_seed(0)
network = Net()
for _ in range(30):
    network(torch.rand(16, 3, 24, 24))
torch.export.save(torch.export.export(network, (torch.rand(1, 3, 24, 24),)), FOLDER + "/colour.pt2")  # in training mode
"""
ATTENTION = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.norm, self.last = nn.Conv2d(3, 32, 6, stride=6), nn.LayerNorm(32), nn.Linear(32, 7)
        self.encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
    def forward(self, x):
        tokens = self.encoder(self.patches(x).flatten(2).transpose(1, 2))
        a, b = self.norm(tokens).chunk(2, -1)
        return self.last(torch.cat([b, a], -1).mean(1))
torch.manual_seed(0)
torch.export.save(torch.export.export(Net().eval(), (torch.rand(1, 3, 24, 24),)), FOLDER + "/attention.pt2")
"""
BRANCHES = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
image = keras.Input((24, 24, 3))
x = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.1, 0.1])(image)
a = layers.Conv2D(12, 3, padding="same", activation="relu")(x)
b = layers.Activation("gelu")(layers.BatchNormalization()(layers.SeparableConv2D(12, 5, padding="same", use_bias=False)(x)))
x = layers.MaxPooling2D(3)(layers.Concatenate()([a, b]))
y = layers.BatchNormalization()(layers.Conv2D(24, 3, padding="same", dilation_rate=2, use_bias=False)(x))
x = layers.Conv2DTranspose(16, 2, strides=2, activation="relu")(layers.Add()([x, y]))
x = layers.Flatten()(layers.AveragePooling2D(4)(x))
keras.Model(image, layers.Dense(7, activation="softmax")(x)).save(FOLDER + "/branches.keras")
"""
DEPTHWISE = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
image = keras.Input((24, 24, 3))
x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(image)
x = layers.Activation("hard_swish")(layers.BatchNormalization()(x))
y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
y = layers.Conv2D(32, 1, use_bias=False)(layers.Activation("hard_swish")(y))
x = layers.Add()([x, layers.BatchNormalization()(y)])
x = layers.BatchNormalization()(layers.SeparableConv2D(64, 3, padding="same", use_bias=False)(x))
x = layers.GlobalAveragePooling2D()(layers.Activation("hard_swish")(x))
keras.Model(image, layers.Dense(7)(x)).save(FOLDER + "/depthwise.keras")
"""
# 12 rows in 5 windows of several sizes: toolchains make indices, masks and hundreds of operators of such a pooling
UNEVEN = """
import torch
from torch import nn
torch.manual_seed(0)
first = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.GroupNorm(2, 8), nn.PReLU(8), nn.MaxPool2d(2))
last = nn.Sequential(nn.Conv2d(8, 12, 3, dilation=2, padding=2), nn.Hardtanh(), nn.AdaptiveAvgPool2d(5), nn.Flatten(), nn.Linear(300, 7))
program = torch.export.export(nn.Sequential(first, last).eval(), (torch.rand(1, 3, 24, 24),))
torch.export.save(program, FOLDER + "/uneven.pt2")
"""
# Python code: a pooling without a stride, weights that are computed, operators that some converter does not know, a buffer of four axes
CODE = """
CODE = '''
import torch
from torch import nn
from torch.nn import functional as F
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3, padding=1))
        self.steps, self.last = nn.GRU(16, 12, batch_first=True), nn.Linear(20, 7)
        self.register_buffer("mean", torch.full((1, 1, 1, 1), 0.5))
    def forward(self, x):
        x = F.channel_shuffle(F.max_pool2d(F.relu(self.first((x - self.mean) * 4)), 3), 2)
        rows, _ = self.steps(F.max_pool2d(x, 2).flatten(2).mT.reshape(-1, 8, 16))
        return self.last(torch.cat([rows[:, -1], F.adaptive_max_pool2d(x, 1).flatten(1)], 1))
def network():
    return Net()
'''
open(FOLDER + "/code.py", "w").write(CODE)
exec(CODE)
torch.manual_seed(0)
torch.save(network().state_dict(), FOLDER + "/code.pth")
"""
# norms before their layers and branches that take one input, of which libraries make wrong logits; a norm and a table that
# are no layers; attention that lies in memory otherwise than it was traced; a pooling that is made of other operators; sizes that are computed
JOINED = """
import torch
from torch import nn
from torch.nn import functional as F
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.then = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, padding=1)
        self.one, self.three = nn.Conv2d(16, 12, 1), nn.Conv2d(16, 12, 3, 3, padding=1)
        self.wide, self.table = nn.LayerNorm((12, 4, 4)), nn.Parameter(torch.rand(1, 2, 16, 16))
        self.heads, self.last = nn.Linear(12, 48), nn.Linear(16, 7)
    def forward(self, x):
        x = self.stem(x)
        x = x + self.then(F.relu(self.norm(x)))
        x = self.wide(F.avg_pool2d(self.one(x), 4, 3, 1, count_include_pad=False) + self.three(x))
        q, k, v = self.heads(x.flatten(2).transpose(1, 2)).unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=self.table).transpose(1, 2).reshape(x.shape[0] * 2 // 2, 16, 16)
        return self.last(x.mean(1))
torch.manual_seed(0)
network = Net()
for _ in range(30):
    network(torch.rand(16, 3, 24, 24))
program = torch.export.export(network.eval(), (torch.rand(2, 3, 24, 24),), dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(program, FOLDER + "/joined.pt2")
"""
RECURRENT = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.both, self.then, self.last = nn.LSTM(72, 10, bidirectional=True, batch_first=True), nn.RNN(20, 9), nn.Linear(9, 7)
    def forward(self, x):
        rows, _ = self.both(x.permute(0, 2, 1, 3).flatten(2)[:, ::4])
        return self.last(self.then(rows.transpose(0, 1))[0][-1])
torch.manual_seed(0)
torch.export.save(torch.export.export(Net().eval(), (torch.rand(1, 3, 24, 24),)), FOLDER + "/recurrent.pt2")
"""
# its loops are written out, its grouped convolution is a compiled function
STEPS = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
image = keras.Input((24, 24, 3))
x = layers.Conv2D(8, 3, strides=4, groups=2, activation="relu")(layers.Conv2D(4, 1)(image))
x = layers.Bidirectional(layers.LSTM(10, return_sequences=True))(layers.Reshape((6, 48))(x))
keras.Model(image, layers.Dense(7)(layers.GRU(9)(x))).save(FOLDER + "/steps.keras")
"""
# trained in half precision, and with a state for what it dropped
HALVES = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
keras.mixed_precision.set_global_policy("mixed_float16")
image = keras.Input((24, 24, 3))
x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=4, activation="relu")(image))
x = layers.LSTM(10, dropout=0.2)(layers.Reshape((6, 48))(x))
keras.Model(image, layers.Dense(7, dtype="float32")(x)).save(FOLDER + "/halves.keras")
"""
SETTINGS = """
recipes = ["*-float*", "*-*int8", "*-int*", "colour-*-any*", "colour-*-four", "branches-tflite-a*", "branches-tflite-b*", "branches-savedmodel-*", "depthwise-coreml-p*"]
[schemes.four]
base = "float32"
batch = 4
[schemes.any]
base = "float32"
batch = "dynamic"
[schemes.any_i8]
base = "int8"
batch = "dynamic"
[schemes.best]
base = "int8"
calibration = "mse"
granularity = "per_tensor"
symmetric = true
"""
# what each toolchain cannot do with them, in its own words, by ids as one would type them
REFUSED = {
    "branches-tflite-any*": "cannot have TRANSPOSE_CONV",
    "depthwise-tflite-int16x8": "not yet supported for op: 'HARD_SWISH'",
    "[ab]*-qat_int8": "labelled training images",
    "*-ncnn-int8": "ncnn2int8",
    **{f"colour-{name}-{s}": "no option batch" for name in ("coreml", "openvino", "ncnn") for s in ("any*", "four")},
}


def type_in(*arguments: object) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write(place: Path, *scripts: str) -> dict[str, np.ndarray]:
    """Write the scripts' networks and images for all of them; return the arrays of the images' file."""
    for script in scripts:
        subprocess.run([sys.executable, "-c", f"FOLDER = {str(place)!r}\n{script}"], check=True, capture_output=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, SIDE, SIDE, 3)).astype(np.uint8)
    arrays = {"images": images, "labels": rng.integers(0, CLASSES, IMAGES), "class_names": np.array(list("abcdefg"))}
    arrays |= {"flipped_images": images[:, :, ::-1], "flipped_labels": rng.integers(0, CLASSES, IMAGES)}
    np.savez(place / "data.npz", **arrays)
    return arrays


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Four networks with their images, exported."""
    place = tmp_path_factory.mktemp("own")
    arrays = write(place, COLOUR, ATTENTION, BRANCHES, DEPTHWISE)
    for name in ("colour", "depthwise"):
        training = {"train_images": arrays["images"][::-1], "train_labels": arrays["labels"][::-1]}
        np.savez(place / f"{name}.npz", **arrays, **training)
    (place / "edgewise.toml").write_text(SETTINGS)
    done = type_in("export", "--models", place, "--logs", place / "logs")
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    return place


def test_every_artifact_is_made_or_refused_in_the_toolchains_words(folder):
    exported = artifacts.load(folder / "artifacts")
    assert {a.model for a in exported} == {"colour", "attention", "branches", "depthwise"}
    refused = {a.id: a.reason for a in exported if a.outcome != "ok"}
    expected = {id: words for id in refused for ids, words in REFUSED.items() if fnmatch(id, ids)}
    assert refused.keys() == expected.keys(), refused
    assert all(words in refused[id] for id, words in expected.items()), refused
    assert all(any(fnmatch(id, ids) for id in refused) for ids in REFUSED), refused
    good = [a for a in exported if a.outcome == "ok"]
    assert {a.labels for a in good} == {tuple("abcdefg")}
    assert {a.layout for a in good if a.model == "branches"} == {"hwc"}
    assert {a.inputs[0].shape[1:] for a in good if a.model == "colour"} == {(3, SIDE, SIDE)}
    static = {a.model: " ".join(a.notes) for a in good if a.scheme == "int8"}
    judged = {model for model, notes in static.items() if "calibrated on the images that it is judged on" in notes}
    assert (static.keys(), judged) == ({"colour", "attention", "branches", "depthwise"}, {"attention", "branches"})


def test_sidecars_say_how_many_images_an_artifact_takes_and_which_options_it_has(folder):
    exported = {a.id: a for a in artifacts.load(folder / "artifacts") if a.outcome == "ok"}
    for scheme, batch in (("four", 4), ("any", -1), ("any_i8", -1)):
        assert {a.batch for a in exported.values() if a.scheme == scheme} == {batch}
    formats = {a.format for a in exported.values() if a.scheme == "any"}
    assert formats >= {"tflite", "torchscript", "executorch", "onnx", "ort"}
    fixed = [a for a in exported.values() if a.format == "onnx" and a.batch == 1]
    assert {a.model for a in fixed} == {"attention"}
    assert all("takes 1 image at once and no other number" in " ".join(a.notes) for a in fixed)
    best = exported["branches-tflite-best"]
    assert best.options.given == {"calibration": "mse", "granularity": "per_tensor", "symmetric": True}
    assert "mse sets the scales of weights" in " ".join(best.notes)
    assert exported["colour-onnx-float32"].covered_macs == 1.0


def test_a_second_export_makes_nothing(folder):
    assert "0 made" in " ".join(type_in("export", "--models", folder, "--logs", folder / "logs").stdout.split())


@pytest.mark.parametrize(
    "runtime", ["litert", "litert_compiled", "onnxruntime", "executorch", "torch", "tensorflow", "tflite_runtime"]
)
def test_every_desktop_runtime_answers_as_their_source(folder, runtime):
    done = type_in("device_tests", "run", "--models", folder, "--runtime", runtime, "--quick")
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    rows = [measurement.read(path) for path in (folder / "results").glob(f"*@{runtime}@desktop.json")]
    outcomes = Counter(row.outcome for row in rows)
    assert outcomes["ok"] >= 3, outcomes
    floats = [row for row in rows if row.outcome == "ok" and row.artifact.endswith("-float32")]
    assert all(row.agree == row.total == IMAGES for row in floats), [(row.id, row.agree) for row in floats]
    assert all(list(row.sets) == ["flipped"] for row in rows if row.outcome == "ok")


def test_the_report_and_the_check_are_of_these_networks(folder):
    assert type_in("device_tests", "report", "--models", folder).returncode == 0
    page = (folder / "report" / "index.html").read_text()
    assert all(name in page for name in ("colour", "attention", "branches", "depthwise"))
    assert "torch_cnn" not in page
    done = type_in("device_tests", "check", "--models", folder)
    assert done.returncode == 0, done.stdout
    assert " 0 failed" in done.stdout


# what quantizes recurrent layers says so; the others leave them in float, and say that
@pytest.mark.parametrize(
    ("script", "refused", "whole"),
    [
        (
            UNEVEN,
            "Tensor.reshape",
            {"tflite", "onnx", "ort", "openvino", "executorch", "torchscript", "torchscript_lite"},
        ),
        (CODE, "ReduceMax", {"tflite", "executorch"}),
        (
            JOINED,
            "Tensor.reshape",
            {"tflite", "onnx", "ort", "openvino", "executorch", "torchscript", "torchscript_lite"},
        ),
        (RECURRENT, "Tensor.slice", {"tflite", "executorch"}),
        (STEPS, "pnnx.Expression", {"tflite", "onnx", "ort"}),
        (HALVES, "ncnn2int8", {"tflite", "onnx", "ort", "openvino"}),
    ],
    ids=["uneven", "code", "joined", "recurrent", "steps", "halves"],
)
def test_networks_of_other_operators_are_made_and_counted_whole(script, refused, whole, tmp_path):
    """Indices and masks are no weights, recurrent layers have some, and int8 quantizes what is computed from parameters."""
    write(tmp_path, script)
    done = type_in(
        "export",
        "--models",
        tmp_path,
        "--logs",
        tmp_path / "logs",
        "--only=*-float32",
        "--only=*-int8",
        "--only=*-[et][xf]*-dynamic_int8",
    )
    exported = artifacts.load(tmp_path / "artifacts")
    reasons = {artifact.id: artifact.reason for artifact in exported if artifact.outcome != "ok"}
    assert done.returncode == 0, reasons
    assert {id.partition("-")[2] for id in reasons} <= {"ncnn-float32", "ncnn-int8"}, reasons
    assert any(refused in reason for reason in reasons.values()), reasons
    covered = {
        artifact.format for artifact in exported if (artifact.covered_macs or 0) > 0.999 and artifact.scheme == "int8"
    }
    assert covered == whole
