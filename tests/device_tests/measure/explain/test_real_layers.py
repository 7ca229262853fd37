"""Layers of networks with batch norm, depthwise convolutions, residuals, a gate and attention, through each toolchain.

A healthy file accuses no layer; a file in which one layer's scale is doubled accuses that layer.
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import models.zoo
from device_tests.measure.explain import layers, run
from device_tests.results.layers import Layers
from export import artifact as artifacts
from export import making
from export.artifact import Artifact
from export.recipe import Recipe
from export.source import Source
from models import checkpoints, data
from models.frameworks import FRAMEWORKS
from models.images import network_input
from models.reference import Reference
from models.spec import Training
from tests.conftest import zipped
from tests.device_tests import conftest

pytestmark = pytest.mark.slow

SPEC = """
from models.spec import ModelSpec

SPEC = ModelSpec(name="{name}", framework="{framework}", title="a network of the tests", parameters={parameters},
                 macs={macs}, input_shape={shape}, source="tests")
"""

TORCH = """
def network():
    import torch
    from torch import nn

    from models.frameworks.torch import Normalize

    class Mobile(nn.Module):
        def __init__(self):
            super().__init__()
            self.normalize = Normalize()
            self.stem = nn.Sequential(
                nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
            )
            self.deep = nn.Sequential(
                nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
                nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16),
            )
            self.gate = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Hardsigmoid()
            )
            self.pool = nn.MaxPool2d(2, 2)
            self.q, self.k, self.v, self.out = (nn.Linear(16, 16) for _ in range(4))
            self.head = nn.Linear(16, 10)

        def forward(self, image):
            x = self.stem(self.normalize(image))
            y = self.deep(x)
            t = self.pool(x + y * self.gate(y)).reshape(x.shape[0], 16, 49).transpose(1, 2)
            weights = torch.softmax(self.q(t) @ self.k(t).transpose(1, 2) / 4.0, -1)
            return self.head((t + self.out(weights @ self.v(t))).mean(1))

    return Mobile()
"""
POINTWISE, SHAPE = "conv3", (16, 16, 1, 1)  # in the residual's branch, after the depthwise one

KERAS = """
def network():
    from keras import Input, Model, layers

    from models.data import MEAN, STD

    image = Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / STD, offset=-MEAN / STD)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm1")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm2")(y))
    y = layers.BatchNormalization(name="norm3")(layers.Conv2D(16, 1, use_bias=False, name="pointwise")(y))
    x = layers.ReLU()(layers.Add()([layers.Conv2D(16, 1, name="shortcut")(x), y]))
    x = layers.Dense(32, activation="relu", name="dense")(layers.GlobalAveragePooling2D()(x))
    return Model(image, layers.Dense(10, name="logits")(x))
"""
LAYERS = {
    "torch_mobile": [f"{kind}{i}" for kind in ("conv", "dense") for i in range(1, 6)],
    "keras_residual": ["stem", "depthwise", "pointwise", "shortcut", "dense", "logits"],
}
NETWORKS = {
    "torch_mobile": (SPEC.format(name="torch_mobile", framework="torch", parameters=2_178, macs=234_048, shape=(1, 28, 28)) + TORCH),
    "keras_residual": (SPEC.format(name="keras_residual", framework="keras", parameters=1_354, macs=79_232, shape=(28, 28, 1)) + KERAS),
}  # fmt: skip


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A zoo of the two networks with seeded weights, trained for a few steps so that batch norms know their images."""
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.zoo, "__path__", [str(folder)])
        patch.setattr(checkpoints, "FOLDER", folder)
        images = data.load("train", "digits")
        for name, text in NETWORKS.items():
            (folder / f"{name}.py").write_text(text)
            spec = models.zoo.ZOO[name].SPEC
            framework = FRAMEWORKS[spec.framework]
            framework.seed(0)
            network = models.zoo.ZOO[name].network()
            trainer = framework.Trainer(network, Training(epochs=3))
            pixels = network_input(images.images, "chw" if spec.framework == "torch" else "hwc")
            for i in 3 * list(range(0, len(pixels), 64)):
                trainer.step(pixels[i : i + 64], images.labels[i : i + 64], 3e-3)
            checkpoints.save(name, network)
        yield folder
    for name in NETWORKS:
        sys.modules.pop(f"models.zoo.{name}", None)


def exported(zoo: Path, model: str, format_name: str) -> tuple[Artifact, Path]:
    """Return the int8 artifact of a model in a format; it, and its twin, are converted once."""
    source = Source(model, "digits")
    for scheme in ("int8",) if format_name == "executorch" else ("float32", "int8"):
        recipe = Recipe(model=model, format=format_name, scheme=scheme)
        sidecar = artifacts.sidecar_path(zoo, recipe.id)
        if not sidecar.exists():
            artifacts.save(making.make(recipe, source, reference_of(source), zoo, "key"), zoo)
    artifact = artifacts.read(sidecar)
    assert artifact.outcome == "ok", artifact.reason
    return artifact, zoo / artifact.file


def reference_of(source: Source) -> Reference:
    digits = data.load("test", "digits")
    images = digits.images[:16]
    return Reference(
        model=source.model, dataset="digits", dataset_sha256="", checkpoint_sha256="", images=images,
        labels=digits.labels[:16], logits=source.logits(source.input(images)),
    )  # fmt: skip


def measured(artifact: Artifact, file: Path) -> Layers:
    return layers.measure(artifact, file, reference_of(Source(artifact.model, "digits")))


def bad(errors: Layers) -> list[str]:
    """Return the layers that are bad; a doubled scale leaves at most 6 dB."""
    assert all(e.own_sqnr_db < 6.5 for e in errors.errors if e.bad and e.layer != "answer")
    assert errors.first_bad == next((e.layer for e in errors.errors if e.bad), "")
    return [e.layer for e in errors.errors if e.bad]


RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "torchscript": "torch", "executorch": "executorch"}


@pytest.mark.parametrize(
    ("model", "format_name"),
    [("torch_mobile", name) for name in RUNTIMES] + [("keras_residual", name) for name in ("tflite", "onnx")],
)
def test_a_healthy_file_accuses_no_layer_and_its_placement_names_all(zoo, model, format_name):
    """A product of two activations, as in attention, is no layer, and branches may come in another order."""
    artifact, file = exported(zoo, model, format_name)
    errors = measured(artifact, file)
    assert sorted(e.layer for e in errors.errors[:-1]) == sorted(LAYERS[model])
    assert all(e.paired for e in errors.errors)
    assert all(e.own_sqnr_db is None or e.own_sqnr_db > 20 for e in errors.errors)
    assert errors.first_bad == ""
    if format_name == "tflite":
        conftest.need_environment("litert")
    placement = run.make(artifact, file.parent, RUNTIMES[format_name])
    assert sorted(o.layer for o in placement.operators if o.weights) == sorted(LAYERS[model])


@pytest.mark.parametrize(
    ("model", "weights", "layer"),
    [
        ("torch_mobile", lambda shape, name: shape == [16, 1, 1, 16], POINTWISE),
        ("keras_residual", lambda shape, name: shape == [16, 1, 1, 8] and "pointwise" in name, "pointwise"),
    ],
)
def test_a_doubled_scale_in_a_tflite_file_names_its_layer(zoo, model, weights, layer):
    from export.formats import _tflite_file

    artifact, file = exported(zoo, model, "tflite")
    parsed = _tflite_file.parse(file.read_bytes())
    tensors = (t for t in parsed.subgraphs[0].tensors if t.shape is not None)
    (kernel,) = (t for t in tensors if weights(list(t.shape), t.name.decode()))
    kernel.quantization.scale = [2 * float(scale) for scale in kernel.quantization.scale]
    damaged = file.with_name("damaged.tflite")
    damaged.write_bytes(_tflite_file.serialized(parsed))
    assert bad(measured(artifact, damaged)) == [layer]


def test_a_doubled_scale_in_an_onnx_file_names_its_layer(zoo):
    import onnx

    artifact, file = exported(zoo, "torch_mobile", "onnx")
    model = onnx.load(file)
    (scale,) = (t for t in model.graph.initializer if t.name == "conv3.W_scale")
    scale.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(scale), scale.name))
    damaged = file.with_name("damaged.onnx")
    onnx.save(model, damaged)
    assert bad(measured(artifact, damaged)) == [POINTWISE]


def test_a_doubled_scale_in_a_torchscript_file_names_its_layer(zoo):
    import torch

    from export.formats import _torchscript

    artifact, file = exported(zoo, "torch_mobile", "torchscript")
    with _torchscript.quiet():
        graph = torch.jit.load(file).graph
    constants = [node.output() for node in graph.nodes() if node.kind() == "prim::Constant"]
    packed = [value.toIValue() for value in constants if "Conv2d" in str(value.type())]
    weights = [torch.ops.quantized.conv2d_unpack(value)[0] for value in packed]
    (scales,) = (w.q_per_channel_scales().numpy().tobytes() for w in weights if tuple(w.shape) == SHAPE)
    damaged = file.with_name("damaged.pt")
    with zipfile.ZipFile(file) as whole:
        records = {name: whole.read(name) for name in whole.namelist()}
    (name,) = (name for name, record in records.items() if record == scales)
    zipped(damaged, records | {name: (2 * np.frombuffer(scales)).tobytes()})
    assert bad(measured(artifact, damaged)) == [POINTWISE]


def test_a_doubled_scale_in_the_program_that_was_lowered_names_its_layer(zoo, monkeypatch):
    from export.formats import _executorch_schemes

    artifact, file = exported(zoo, "torch_mobile", "executorch")
    export = _executorch_schemes.export

    def broken(source, scheme):
        program = export(source, scheme)
        if scheme != "float32":
            _scales(program).mul_(2)
        return program

    monkeypatch.setattr(_executorch_schemes, "export", broken)
    assert bad(measured(artifact, file)) == [POINTWISE, "answer"]  # for the file itself is whole


def _scales(program):
    """Return the scales by which a program dequantizes the pointwise convolution's weight."""
    values = {**program.state_dict, **program.constants}
    inputs = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target}
    taken = [node.args for node in program.graph.nodes if "dequantize_per_channel" in str(node.target)]
    (scales,) = (scales for weight, scales, *_ in taken if tuple(values[inputs[weight.name]].shape) == SHAPE)
    return values[inputs[scales.name]]


def test_a_pte_file_that_is_not_what_its_program_says_is_bad_in_its_answer(zoo):
    from export.formats import _executorch_schemes

    artifact, file = exported(zoo, "torch_mobile", "executorch")
    program = _executorch_schemes.export(Source("torch_mobile", "digits"), "int8")
    scales = _scales(program).float().numpy()
    content = file.read_bytes()
    assert content.count(scales.tobytes()) == 1
    damaged = file.with_name("damaged.pte")
    damaged.write_bytes(content.replace(scales.tobytes(), (2 * scales).tobytes()))
    assert bad(measured(artifact, damaged)) == ["answer"]
