"""Opens an artifact and its float32 twin, with a tool for each format."""

from collections.abc import Callable
from pathlib import Path

from device_tests.measure.explain import (
    tensor_values_engine,
    tensor_values_mil,
    tensor_values_onnx,
    tensor_values_tflite,
    tensor_values_torch,
)
from device_tests.measure.explain.compare import Graph
from export import artifact as artifacts
from export.formats import FORMATS, _executorch_schemes
from export.schemes import SCHEMES
from export.source import Source
from models.common.errors import DataError

TWIN = "float32"


def twin(artifact: artifacts.Artifact, beside: Path, folder: Path) -> Graph:
    """Open the float32 artifact in the folder `beside` if it is of the same checkpoint, else one made in `folder`."""
    _, opened = OPENERS[artifact.format]
    if opened is _program:  # the program is made from the source in any case
        return _program(artifact, beside, TWIN)
    if artifact.scheme != TWIN:  # a float32 file is compared with a new one, not with itself
        try:
            stored = artifacts.read(artifacts.sidecar_path(beside, f"{artifact.model}-{artifact.format}-{TWIN}"))
            if stored.outcome == "ok" and stored.checkpoint_sha256 == artifact.checkpoint_sha256:
                return opened(stored, artifacts.check(stored, beside))
        except DataError:
            pass  # missing or broken: it is made anew
    module = FORMATS[artifact.format]
    file = folder / f"{TWIN}{module.suffix}"
    module.convert(Source(artifact.model, artifact.dataset.name), TWIN, file)
    return opened(artifact, file)


def _program(artifact: artifacts.Artifact, _: Path, scheme: str = "") -> Graph:
    source = Source(artifact.model, artifact.dataset.name)
    chosen = SCHEMES[scheme or artifact.scheme]  # a scheme of edgewise.toml is a base with options
    return tensor_values_torch.Program(_executorch_schemes.export(source.with_options(chosen.options), chosen.base))


OPENERS: dict[str, tuple[str, Callable[..., Graph]]] = {
    "tflite": ("LiteRT, with the layers as outputs", lambda _, file: tensor_values_tflite.Graph(file.read_bytes())),
    "onnx": ("onnxruntime, with the layers as outputs", lambda _, file: tensor_values_onnx.Graph(file)),
    "executorch": ("torch.fx on the quantized program that was lowered", _program),
    "executorch_portable": ("torch.fx on the program that was lowered", _program),
    "coreml": (
        "the evaluator of the file's program, not Apple's runtime",
        lambda _, file: tensor_values_mil.Graph(file),
    ),
    "openvino": ("OpenVINO, with the layers as outputs", lambda _, file: tensor_values_engine.OpenVino(file)),
    "ncnn": ("ncnn, which gives every tensor", lambda _, file: tensor_values_engine.Ncnn(file)),
    "torchscript": (
        "the file's own graph, operator by operator",
        lambda _, file: tensor_values_torch.TorchScript(file),
    ),
}
