"""Neighbouring pixels as channels, for convolutions over one channel or few: kernels add up four channels at a time.

XNNPACK's 8-bit kernels fill up the input's channels to 4 and the outputs to 16, and spend about as much on each tap of the
kernel as on four channels. A convolution over one channel wastes most of that. Seen with b neighbours of a row as channels, [N,H,W,I] is
[N,H,W/b,b*I] without moving a byte; a kernel with b*O outputs computes the b outputs of the neighbours together, and
[N,H',W'/b,b*O] is [N,H',W',O], again without moving a byte. Its weights are the old ones between zeros, so that each sum
has the same summands, in the same integers.
"""

import copy
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.rewrites._graph import Graph

TITLE = "convolutions over few channels take neighbouring pixels as channels"

BLOCKS = (2, 4, 8)  # pixels
OUTPUT_BYTES, OPERATORS_BYTES = 32, 800  # about: of a bias and its scales; of the views
PAYS = 0.75  # of the work that is estimated: less, for the views and the padding cost something
# Channels that kernels add up at once, and outputs that they compute at once, by what activations are stored in. 16-bit
# ones run on plain kernels, which fill nothing up.
_FILLED = {schema.TensorType.INT8: (4, 16), schema.TensorType.FLOAT32: (1, 8)}
_WEIGHTS = (schema.TensorType.INT8, schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
_NAME = re.compile(r"/(\d+) pixels of kernels (\d+) wide$")  # at the end of the name of rewritten weights


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution that can be rewritten: weights [O,kh,kw,I], output [N,H',W',O], and zeros around its input."""

    weights: np.ndarray
    height: int  # of the output
    width: int
    above: int
    below: int
    left: int

    def taps(self, block: int) -> int:
        """Return how many blocks of pixels a row of the kernel covers, for the outputs of one block."""
        return -(-(self.weights.shape[2] + block - 1) // block)

    def growth(self, block: int) -> float:
        """Return about how many bytes the file grows by: zeros between weights, biases and scales, the new operators."""
        outputs, _, columns, _ = self.weights.shape
        times = block * self.taps(block) * block / columns
        return (times - 1) * self.weights.nbytes + (block - 1) * outputs * OUTPUT_BYTES + OPERATORS_BYTES

    def cost(self, block: int, lanes: int, tile: int) -> float:
        """Return the estimated work per output pixel: outputs are filled up, and each tap costs as much as its first lane."""
        outputs, rows, _, channels = self.weights.shape
        steps = 1 + -(-block * channels // lanes)
        return -(-block * outputs // tile) * tile * steps * rows * self.taps(block) / block


def rewrite(graph: Graph) -> list[str]:
    """Rewrite each convolution where it pays; return the names of their outputs."""
    changed = []
    for operator in tuple(graph.operators):
        convolution = _convolution(graph, operator)
        if convolution is not None and (block := _block(graph, operator, convolution)):
            _rewrite(graph, operator, convolution, block)
            changed.append(graph.label(operator.outputs[0]))
    return changed


def _convolution(graph: Graph, operator: Any) -> Convolution | None:
    """Return what an operator computes, None where it is none that can be rewritten."""
    kind, options = graph.name(operator), operator.builtinOptions
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or options.strideW != 1 or options.dilationWFactor != 1:
        return None
    stored, _ = graph.widened(operator.inputs[1])
    weights, image = graph.data(stored), graph.shape(operator.inputs[0])
    bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
    if weights is None or graph.tensor(stored).type not in _WEIGHTS or (bias >= 0 and _bias(graph, bias) is None):
        return None
    if graph.tensor(operator.inputs[0]).type not in _FILLED:
        return None
    if kind == "DEPTHWISE_CONV_2D":
        if image[3] != 1:
            return None
        weights = weights.transpose(3, 1, 2, 0)
    if weights.shape[3] != image[3]:  # in groups
        return None
    _, height, width, _ = graph.shape(operator.outputs[0])
    tall, wide = (weights.shape[1] - 1) * options.dilationHFactor + 1, weights.shape[2]
    same = options.padding == schema.Padding.SAME
    zeros = [max((out - 1) * stride + kernel - size, 0) * same for out, stride, kernel, size in (
        (height, options.strideH, tall, image[1]), (width, 1, wide, image[2]))]  # fmt: skip
    return Convolution(weights=weights, height=height, width=width, above=zeros[0] // 2,
                       below=zeros[0] - zeros[0] // 2, left=zeros[1] // 2)  # fmt: skip


def _bias(graph: Graph, index: int) -> np.ndarray | None:
    return graph.data(graph.widened(index)[0])


def _block(graph: Graph, operator: Any, convolution: Convolution) -> int:
    """Return how many pixels to take together, 0 where it does not pay or the file would grow too much."""
    lanes, tile = _FILLED[graph.tensor(operator.inputs[0]).type]
    costs = {block: convolution.cost(block, lanes, tile) for block in BLOCKS if convolution.width % block == 0}
    most = PAYS * convolution.cost(1, lanes, tile)
    for block in sorted(costs, key=costs.get):
        more = convolution.growth(block)
        if costs[block] <= most and more <= graph.room:
            graph.room -= more
            return block
    return 0


def _rewrite(graph: Graph, operator: Any, convolution: Convolution, block: int) -> None:
    image, output = operator.inputs[0], operator.outputs[0]
    label, (batch, height, width, channels) = graph.short(output), graph.shape(image)
    outputs, rows, columns, _ = convolution.weights.shape
    taps = convolution.taps(block)
    steps, source = [], image
    wide = convolution.width + (taps - 1) * block  # pixels that the kernels read of a row
    if convolution.above or convolution.below or wide != width:
        height += convolution.above + convolution.below
        padded = graph.computed(f"{label}/padded", (batch, height, wide, channels), graph.tensor(image))
        zeros = [[0, 0], [convolution.above, convolution.below],
                 [convolution.left, wide - width - convolution.left], [0, 0]]  # fmt: skip
        amounts = graph.constant(f"{label}/paddings", np.array(zeros, np.int32))
        steps.append(graph.operator("PAD", [source, amounts], padded, schema.PadOptionsT()))
        source = padded
    view = graph.computed(f"{label}/pixels", (batch, height, wide // block, block * channels), graph.tensor(image))
    blocks = (batch, convolution.height, convolution.width // block, block * outputs)
    result = graph.computed(f"{label}/blocks", blocks, graph.tensor(output))
    spread = np.zeros((block, outputs, rows, taps * block, channels), convolution.weights.dtype)
    for pixel in range(block):
        spread[pixel, :, :, pixel : pixel + columns] = convolution.weights
    suffix = f"/{block} pixels of kernels {columns} wide"  # which as_converted reads
    stacked = spread.reshape(block * outputs, rows, taps, block * channels)
    weights, widened = _stored(graph, operator.inputs[1], stacked, suffix, block)
    steps += widened
    inputs = [view, weights]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        repeated = np.tile(_bias(graph, operator.inputs[2]), block)
        bias, widened = _stored(graph, operator.inputs[2], repeated, suffix, block)
        steps += widened
        inputs.append(bias)
    options = schema.Conv2DOptionsT()
    options.padding, options.strideW, options.dilationWFactor = schema.Padding.VALID, 1, 1
    for name in ("strideH", "dilationHFactor", "fusedActivationFunction"):
        setattr(options, name, getattr(operator.builtinOptions, name))
    convolved = graph.operator("CONV_2D", inputs, result, options)
    graph.model.operatorCodes[convolved.opcodeIndex].version = max(
        graph.model.operatorCodes[i].version for i in (convolved.opcodeIndex, operator.opcodeIndex)
    )
    graph.replace(operator, *steps, graph.reshape(source, view), convolved, graph.reshape(result, output))


def as_converted(name: str, weights: np.ndarray) -> np.ndarray:
    """Return the weights [O,kh,kw,I] that a convolution had before, of a tensor's name; those of others as they are."""
    match = _NAME.search(name)
    if match is None:
        return weights
    block, columns = map(int, match.groups())
    outputs, rows, taps, channels = weights.shape
    spread = weights.reshape(block, outputs // block, rows, taps * block, channels // block)
    return spread[0, :, :, :columns]


def _stored(graph: Graph, index: int, values: np.ndarray, suffix: str, block: int) -> tuple[int, list[Any]]:
    """Store values like those of a tensor, its scales repeated for each pixel, under its name and a suffix; return where,
    and what widens them.
    """
    stored, widening = graph.widened(index)
    like = graph.tensor(stored)
    new = graph.constant(f"{graph.short(stored)}{suffix}", values, like, _repeated(like.quantization, block))
    if widening is None:
        return new, []
    wide = graph.computed(f"{graph.short(index)}{suffix}", values.shape, graph.tensor(index))
    other = copy.copy(widening)
    other.inputs, other.outputs = [new], [wide]
    return wide, [other]


def _repeated(quantization: Any, block: int) -> Any:
    """Return scales of one per output for the outputs of so many pixels, which are the first axis now."""
    quantization = copy.deepcopy(quantization)
    if quantization is not None:
        for name in ("scale", "zeroPoint", "min", "max"):
            values = getattr(quantization, name)
            if values is not None and len(values) > 1:
                setattr(quantization, name, np.tile(values, block))
        quantization.quantizedDimension = 0
    return quantization
