"""Views of views: of several reshapes in a row the last one alone counts."""

from export.rewrites._graph import Graph

TITLE = "reshapes in a row are one"


def rewrite(graph: Graph) -> list[str]:
    """Take out reshapes that only a reshape reads; return the names of their outputs."""
    changed = []
    for first in tuple(graph.operators):
        if graph.name(first) != "RESHAPE":
            continue
        second = graph.only_user(first.outputs[0])
        if second is None or graph.name(second) != "RESHAPE":
            continue
        target = graph.data(second.inputs[1]) if len(second.inputs) > 1 else None
        if target is None:  # a shape that is computed
            continue
        second.inputs = [first.inputs[0], *second.inputs[1:]]
        graph.replace(first)
        changed.append(graph.label(first.outputs[0]))
    return changed
