"""OpenVINO's intermediate representation: model.xml and model.bin, for Intel's CPUs, GPUs and NPUs, and for Arm."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from export import isolated
from export.contract import Contents, Layer, Tensor, tables, weights_by_dtype
from export.formats import onnx as onnx_format
from export.isolated import with_openvino
from export.source import Source

suffix = ".openvino"
tools = onnx_format.tools
family = onnx_format.family
options = {scheme: onnx_format.options[scheme] for scheme in ("int8", "int4")}  # no batch: a file here takes one image

_DTYPES = {"f32": "float32", "f16": "float16", "i8": "int8", "u8": "uint8", "i4": "int4", "u4": "int4"}
# by operator: which of its inputs are weights
_WEIGHTED = {"Convolution": (1,), "GroupConvolution": (1,), "ConvolutionBackpropData": (1,), "GroupConvolutionBackpropData": (1,),
             "MatMul": (1,), "Gather": (0,), "GRUSequence": (3, 4), "LSTMSequence": (4, 5), "RNNSequence": (3, 4)}  # fmt: skip
# what may stand before a weight; the last where blocks of 4-bit weights were padded
_WIDENING = ("Convert", "Subtract", "Multiply", "Reshape", "Transpose", "FakeQuantize", "Slice", "StridedSlice")
_QUANTIZED = ("Convolution", "GroupConvolution", "MatMul")


def convert(source: Source, scheme: str, target: Path) -> None:
    """Convert the ONNX file of the scheme; float16 and 8-bit weights are OpenVINO's own way of storing them."""
    started = {"dynamic_int8": "weights in 8 bits", "float16": "float32"}.get(scheme, scheme)
    graph = onnx_format.build(source, started)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(graph)
        shape = ",".join(map(str, (1, *source.input_shape)))
        width = "float16" if scheme == "float16" else "wide"
        isolated.run("openvino", with_openvino.__file__, "convert", file, target, shape, width)


@dataclass(frozen=True, kw_only=True)
class _Node:
    """One layer of model.xml: `inputs` are the ids of the nodes before it, `data` its attributes, `shape` its output's."""

    kind: str
    data: Mapping[str, str]
    inputs: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """The type of a constant's values."""
        return _DTYPES.get(self.data["element_type"], self.data["element_type"])


def inspect(path: Path) -> Contents:
    root = ElementTree.parse(path / "model.xml").getroot()
    nodes = _nodes(root)
    layers = _layers(nodes)
    return Contents(
        inputs=_tensors(root, "Parameter", "output"),
        outputs=_tensors(root, "Result", "input"),
        weights=weights_by_dtype(layers),
        layers=tuple(layers),
        constants=(path / "model.bin").stat().st_size,
        tables=tables(((n.dtype, n.shape, int(n.data["size"])) for n in nodes.values() if n.kind == "Const"), layers),
        parts=len(nodes),
        notes=_notes(nodes, layers),
    )


def _nodes(root: ElementTree.Element) -> dict[str, _Node]:
    before: dict[str, dict[int, str]] = {}
    for edge in root.iter("edge"):
        before.setdefault(edge.attrib["to-layer"], {})[int(edge.attrib["to-port"])] = edge.attrib["from-layer"]
    counts = {}
    for layer in root.iter("layer"):
        data = layer.find("data")
        inputs = tuple(id for _, id in sorted(before.get(layer.attrib["id"], {}).items()))
        shape = tuple(int(size.text) for size in layer.iterfind("output/port/dim"))
        attributes = {} if data is None else data.attrib
        counts[layer.attrib["id"]] = _Node(kind=layer.attrib["type"], data=attributes, inputs=inputs, shape=shape)
    return counts


def _layers(nodes: Mapping[str, _Node]) -> list[Layer]:
    """Return the operators with stored weights; a product of two activations has none."""
    layers = []
    for kind, operand in ((n.kind, n.inputs[i]) for n in nodes.values() for i in _WEIGHTED.get(n.kind, ())):
        if (stored := _stored(nodes, operand)) is not None:
            quantizable = kind in _QUANTIZED
            layers.append(Layer(operator=kind, shape=nodes[operand].shape, dtype=stored.dtype, quantizable=quantizable))
    return layers


def _stored(nodes: Mapping[str, _Node], id: str) -> _Node | None:
    """Return the constant that an operand is widened from, None where it is an activation."""
    while (node := nodes[id]).kind in _WIDENING:
        id = node.inputs[0]
    return node if node.kind == "Const" else None


def _tensors(root: ElementTree.Element, kind: str, side: str) -> tuple[Tensor, ...]:
    name = {"Parameter": "image", "Result": "logits"}[kind]
    ports = [layer.find(f"{side}/port") for layer in root.iter("layer") if layer.attrib["type"] == kind]
    return tuple(
        Tensor(
            name=name,
            shape=tuple(int(size.text) for size in port.iter("dim")),
            dtype=_DTYPES[port.attrib["precision"].lower().replace("fp", "f")],
        )
        for port in ports
    )


def _notes(nodes: Mapping[str, _Node], layers: list[Layer]) -> tuple[str, ...]:
    """Say where narrow weights are computed with in float32, for want of quantized activations."""
    if {layer.dtype for layer in layers} == {"float32"} or any(n.kind == "FakeQuantize" for n in nodes.values()):
        return ()
    return ("weights are stored narrow and widened when the file is compiled; activations are float32",)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    return isolated.logits("openvino", with_openvino.__file__, path, images)
