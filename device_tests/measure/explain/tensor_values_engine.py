"""Opens OpenVINO's and ncnn's files: the engine itself gives the values of every tensor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.explain.compare import Node, Values, channel_shapes, settled
from device_tests.measure.explain.engine import Engine
from export.contract import Layer
from export.formats import ncnn

_MOVING = {
    "openvino": ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Convert", "ShapeOf"),
    "ncnn": ("Reshape", "Permute", "Flatten", "Squeeze", "ExpandDims", "Split", "Noop", "Dropout"),
}
_ROUNDING = ("FakeQuantize",)
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Exp", "Abs")
_KEEPING = (*_MOVING["openvino"], "MaxPool", "AvgPool", "ReduceMean", "FakeQuantize", "Concat")


class OpenVino:
    """A model.xml with one input and one output, whose operators are numbered by their kind; see compare.Graph."""

    named = False

    def __init__(self, file: Path) -> None:
        self._engine = Engine("openvino", file)
        graph, weights = self._engine.described("describe")
        self.input, self.output = graph["input"], graph["output"]
        clipping = _clipping(graph["nodes"])
        self.nodes = tuple(_node(entry, weights.get(str(i)), i in clipping) for i, entry in enumerate(graph["nodes"]))
        self._settled = settled(self.nodes)

    def values(self, image: np.ndarray) -> Values:
        tensors = self._engine.arrays("values", {self.input: image})
        return {name: tensors[of] for name, of in self._settled.items() if of in tensors}

    def forced(self, image: np.ndarray, given: Values) -> Values:
        return self._engine.arrays("forced", {self.input: image, **given})


def _node(entry: dict[str, Any], weights: np.ndarray | None, clips: bool) -> Node:
    rounds = entry["kind"] in _ROUNDING and not clips
    kind = "Relu" if clips else entry["kind"]
    return Node(
        kinds=() if rounds or kind in _MOVING["openvino"] else (kind,),
        inputs=tuple(entry["inputs"]),
        outputs=tuple(entry["outputs"]),
        weights=entry["weights"],
        shapes=() if weights is None else channel_shapes(weights, 0),
        rounds=rounds,
    )


def _clipping(nodes: list[dict[str, Any]]) -> set[int]:
    """Return the indices of the quantizers that stand for a ReLU: they cut off the negative values of their input."""
    never_negative, clipping = set(), set()
    for i, entry in enumerate(nodes):
        before = never_negative.issuperset(entry["inputs"])
        cuts = entry["kind"] in _ROUNDING and entry["least"] >= 0
        if cuts and not before:
            clipping.add(i)
        if cuts or entry["kind"] in _NEVER_NEGATIVE or (entry["kind"] in _KEEPING and before):
            never_negative.update(entry["outputs"])
    return clipping


class Ncnn:
    """The two files of ncnn, whose values have no axis for the batch; see compare.Graph."""

    named = True

    def __init__(self, file: Path) -> None:
        self._engine = Engine("ncnn", file)
        stored: dict[str, list[tuple[Layer, np.ndarray | None]]] = {}
        for name, layer, values in ncnn.stored(file):
            stored.setdefault(name, []).append((layer, values))
        self.nodes = tuple(_operator(line, stored) for line in ncnn.operators(file) if line.kind != "Input")
        (self.input,) = (line.outputs[0] for line in ncnn.operators(file) if line.kind == "Input")
        self.output = self.nodes[-1].outputs[0]
        # 8-bit values between two convolutions have a scale, which ncnn does not apply when they are read
        self._hidden = {name for line in ncnn.operators(file) if line.hands_on_integers for name in line.outputs}

    def values(self, image: np.ndarray) -> Values:
        tensors = self._engine.arrays("values", {self.input: image[0]})
        return {name: value[None] for name, value in tensors.items() if name not in self._hidden}

    def forced(self, image: np.ndarray, given: Values) -> Values:
        tensors = self._engine.arrays("forced", {self.input: image[0], **{n: v[0] for n, v in given.items()}})
        return {name: value[None] for name, value in tensors.items()}


def _operator(line: ncnn.Operator, stored: Mapping[str, list[tuple[Layer, np.ndarray | None]]]) -> Node:
    held = stored.get(line.name, [])
    values = held[0][1] if len(held) == 1 else None  # attention has four
    return Node(
        kinds=() if line.kind in _MOVING["ncnn"] else (line.kind,),
        inputs=line.inputs,
        outputs=line.outputs,
        weights=sum(layer.weights for layer, _ in held),
        shapes=() if values is None else channel_shapes(values, 0),
    )
