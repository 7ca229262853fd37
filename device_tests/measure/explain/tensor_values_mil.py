"""Opens Core ML's packages: the evaluator of their programs, operation by operation."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from device_tests.measure.explain.compare import Node, Values, channel_shapes, stepwise
from models import mil

_MOVING = ("reshape", "transpose", "squeeze", "expand_dims", "cast", "identity")
# operators with weights: the input that holds them
_WEIGHTED = {"conv": "weight", "conv_transpose": "weight", "linear": "weight", "matmul": "y"}


class Graph:
    """A package's only function, which takes `image`; see compare.Graph."""

    named = True
    input = "image"

    def __init__(self, file: Path) -> None:
        self._steps = mil.Program(file)._steps
        self.nodes = tuple(map(_node, self._steps))
        self.output = self._steps[-1].results[0][0]

    def values(self, image: np.ndarray) -> Values:
        return self.forced(image, {})

    def forced(self, image: np.ndarray, given: Mapping[str, np.ndarray]) -> Values:
        computed = stepwise(self.input, image, given, (step.run for step in self._steps))
        return {name: value.astype(np.float32) for name, value in computed.items()}


def _node(step: mil._Step) -> Node:
    weights = step.constants.get(_WEIGHTED.get(step.kind, ""))
    inputs = [name for names in step.variables.values() for name in (names if isinstance(names, list) else [names])]
    return Node(
        kinds=() if step.kind in _MOVING else (step.kind,),
        inputs=tuple(inputs),
        outputs=tuple(name for name, _, _ in step.results),
        weights=0 if weights is None else weights.size,
        shapes=() if weights is None else channel_shapes(weights, _axis(step)),
    )


def _axis(step: mil._Step) -> int:
    if step.kind == "matmul":
        return -2 if step.constants.get("transpose_y") else -1
    return 1 if step.kind == "conv_transpose" else 0
