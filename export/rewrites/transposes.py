"""Transposes that need not run: merged into the weights of the dense layer that follows, or views where no byte moves."""

from typing import Any

import numpy as np

from export.rewrites._graph import Graph

TITLE = "transposes are merged into dense layers' weights, or are views"


def rewrite(graph: Graph) -> list[str]:
    """Take transposes out of the graph; return the names of their outputs."""
    changed = []
    for operator in tuple(graph.operators):
        if graph.name(operator) != "TRANSPOSE" or operator.outputs[0] in graph.graph.outputs:
            continue
        axes = graph.data(operator.inputs[1])
        if axes is not None and (_into_weights(graph, operator, axes) or _as_view(graph, operator, axes)):
            changed.append(graph.label(operator.outputs[0]))
    return changed


def _into_weights(graph: Graph, transpose: Any, axes: np.ndarray) -> bool:
    """Order the columns of a dense layer's weights as the transpose's input is, where nothing else reads its output."""
    reader, views = graph.only_user(transpose.outputs[0]), []
    while reader is not None and graph.name(reader) == "RESHAPE":
        views.append(reader)
        reader = graph.only_user(reader.outputs[0])
    if reader is None or graph.name(reader) != "FULLY_CONNECTED" or not views or axes[0] != 0:
        return False
    stored, widening = graph.widened(reader.inputs[1])
    weights, shape = graph.data(stored), graph.shape(transpose.outputs[0])
    shared = graph.users(stored) != [widening or reader] or len(graph.users(reader.inputs[1])) > 1
    if weights is None or shared or weights.shape[1] != np.prod(shape[1:]) or _scaled_by_columns(graph, stored):
        return False
    back = np.argsort(axes)  # which axis of the output each axis of the input is
    ordered = weights.reshape(len(weights), *shape[1:]).transpose(0, *back[1:]).reshape(weights.shape)
    like = graph.tensor(stored)
    same = graph.constant(f"{graph.short(stored)}/ordered", ordered, like, like.quantization)
    user = widening or reader
    user.inputs = [same if index == stored else index for index in user.inputs]
    views[0].inputs = [transpose.inputs[0], *views[0].inputs[1:]]
    for view in views:  # whose values come in another order from now on
        tensor = graph.tensor(view.outputs[0])
        tensor.name = tensor.name + b"/not transposed"
    graph.replace(transpose)
    return True


def _scaled_by_columns(graph: Graph, index: int) -> bool:
    quantization = graph.tensor(index).quantization
    return quantization is not None and (quantization.quantizedDimension != 0 or quantization.details is not None)


def _as_view(graph: Graph, transpose: Any, axes: np.ndarray) -> bool:
    """Reshape instead, where the transpose only moves axes of size 1; a batch of any size stays where it is."""
    shape = graph.shape(transpose.inputs[0])
    moved = [axis for axis in axes if shape[axis] != 1]
    if moved != sorted(moved) or (graph.is_any_batch and axes[0] != 0):
        return False
    graph.replace(transpose, graph.reshape(transpose.inputs[0], transpose.outputs[0]))
    return True
