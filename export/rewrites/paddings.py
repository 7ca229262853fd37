"""Zeros around an image that the convolution which follows can add by itself."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.rewrites._graph import Graph

TITLE = "paddings are merged into the convolutions that follow"


def rewrite(graph: Graph) -> list[str]:
    """Take out paddings of zeros that equal what `SAME` means for all readers; return the names of their outputs."""
    changed = []
    for padding in tuple(graph.operators):
        if graph.name(padding) != "PAD" or padding.outputs[0] in graph.graph.outputs:
            continue
        padding = _behind_transpose(graph, padding)
        amounts, readers = graph.data(padding.inputs[1]), graph.users(padding.outputs[0])
        if amounts is None or not readers or not all(_is_same(graph, padding, amounts, one) for one in readers):
            continue
        for reader in readers:
            reader.builtinOptions.padding = schema.Padding.SAME
            reader.inputs = [padding.inputs[0], *reader.inputs[1:]]
        graph.replace(padding)
        changed.append(graph.label(padding.outputs[0]))
    return changed


def _behind_transpose(graph: Graph, padding: Any) -> Any:
    """Return the padding, moved behind the transpose that alone reads it, where convolutions read that."""
    transpose = graph.only_user(padding.outputs[0])
    if transpose is None or graph.name(transpose) != "TRANSPOSE" or transpose.outputs[0] in graph.graph.outputs:
        return padding
    amounts, axes = graph.data(padding.inputs[1]), graph.data(transpose.inputs[1])
    readers = {graph.name(reader) for reader in graph.users(transpose.outputs[0])}
    if amounts is None or axes is None or not readers <= {"CONV_2D", "DEPTHWISE_CONV_2D"}:
        return padding
    source, output = padding.inputs[0], transpose.outputs[0]
    shape = tuple(graph.shape(source)[axis] for axis in axes)
    moved = graph.computed(f"{graph.short(output)}/unpadded", shape, graph.tensor(source))
    ordered = graph.constant(f"{graph.short(output)}/paddings", amounts[axes], graph.tensor(padding.inputs[1]))
    behind = graph.operator("PAD", [moved, ordered], output, padding.builtinOptions or schema.PadOptionsT())
    graph.replace(padding)
    first = graph.operator("TRANSPOSE", [source, transpose.inputs[1]], moved, schema.TransposeOptionsT())
    graph.replace(transpose, first, behind)
    return behind


def _is_same(graph: Graph, padding: Any, amounts: np.ndarray, reader: Any) -> bool:
    """Tell whether a convolution over the padded image is one over the image itself with the padding `SAME`."""
    options = reader.builtinOptions
    if graph.name(reader) not in ("CONV_2D", "DEPTHWISE_CONV_2D") or options.padding != schema.Padding.VALID:
        return False
    if len(amounts) != 4 or amounts[0].any() or amounts[3].any():
        return False
    image, kernel, output = (graph.shape(i)[1:3] for i in (padding.inputs[0], reader.inputs[1], reader.outputs[0]))
    sizes = zip(image, kernel, output, (options.strideH, options.strideW),
                (options.dilationHFactor, options.dilationWFactor), amounts[1:3], strict=True)  # fmt: skip
    for size, taps, out, stride, dilation, (before, after) in sizes:
        zeros = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
        if (before, after) != (zeros // 2, zeros - zeros // 2) or out != -(-size // stride):
            return False
    return True
