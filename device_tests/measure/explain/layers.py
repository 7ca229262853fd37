"""Where an artifact's error starts: each layer against the float32 twin of the same format, on real images.

The artifact's values are compared with those of the float32 file that the same converter makes of the same checkpoint
(`compare.py` pairs their tensors). A layer's own error is what it adds to the values that it was given. A layer is bad
where its own error leaves less than BAD_SQNR_DB between signal and noise; the first bad layer is the first in the order
of execution. The layers after it may be as wrong, but only because of their inputs.

On the zoo and on the tests' networks rounding costs a layer 28 to 60 dB in 8 bits and 24 to 36 dB in 4, and fine-tuning
moved one as far as 18 dB; a doubled scale leaves 6 dB or less. Cosines do not decide, for they do not see a wrong
scale. A layer without a counterpart of its shape and inputs in the twin is listed as not paired, and never bad.
"""

import math
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from device_tests import current_results
from device_tests.measure.explain import compare, source
from device_tests.measure.explain.compare import Compared, Node, Tally
from device_tests.measure.explain.placement import Layer
from device_tests.results.layers import BAD_SQNR_DB, NOT_SHOWN, LayerError, Layers
from export.artifact import Artifact
from export.formats import FORMATS
from export.judge import to_logits, to_native
from models.common.errors import DataError, Unsupported
from models.images import network_input
from models.reference import Reference

IMAGES = 64
ANSWER = "answer"


def error(layer: str, answer: np.ndarray, expected: np.ndarray, given: np.ndarray | None = None) -> LayerError:
    """Compare two arrays of one shape; `given` is what the layer should compute from the inputs that it had."""
    own = Tally().add(answer, expected if given is None else given)
    return _row(layer, Tally().add(answer, expected), own)


def _row(layer: str, whole: Tally, own: Tally) -> LayerError:
    facts = {name: getattr(whole, name) for name in ("sqnr_db", "max_abs", "cosine")}
    return LayerError(layer=layer, own_sqnr_db=own.sqnr_db, **facts)


def measure(artifact: Artifact, file: Path, reference_set: Reference) -> Layers:
    """Compare the artifact's layers with the float32 twin's on the reference's first images.

    The twin is the float32 artifact beside the file, or is made anew where there is none of the same checkpoint. Raises
    Unsupported where no tool shows the inside of such a file, DataError where the twin answers otherwise than the source.
    """
    from device_tests.measure.explain import tensor_values

    if artifact.format not in tensor_values.OPENERS:
        raise Unsupported(NOT_SHOWN[artifact.format])
    if artifact.batch > 1:
        raise Unsupported(f"layers are compared image by image, and this artifact takes {artifact.batch} at once")
    images = reference_set.images[:IMAGES]
    tool, opened = tensor_values.OPENERS[artifact.format]
    floats = network_input(images, artifact.layout)
    native = to_native(floats, artifact.inputs[0])
    graph = opened(artifact, file)
    with tempfile.TemporaryDirectory() as folder:
        twin = tensor_values.twin(artifact, file.parent, Path(folder))
        compared = compare.compare(graph, twin, native, floats)
    sqnr_db = Tally().add(compared.twin_ends, reference_set.logits[: len(images)]).sqnr_db
    if sqnr_db is not None and sqnr_db < BAD_SQNR_DB:
        raise DataError(
            f"The float32 conversion of {artifact.model} to {artifact.format} answers otherwise than the network itself "
            f"({sqnr_db:.1f} dB): there is nothing to compare layers with. Look at "
            f"{artifact.model}-{artifact.format}-float32 first."
        )
    logits = to_logits(FORMATS[artifact.format].run(file, native), artifact.outputs[0])
    key = current_results.explanation(artifact, current_results.EXPORT)
    answer = error(ANSWER, logits, reference_set.logits[: len(images)], compared.ends)
    errors = (*rows(compared.tensors, twin.nodes, source.layers(artifact.model)), answer)
    return Layers(artifact=artifact.id, key=key, images=len(images), tool=tool, errors=errors)


def rows(compared: Mapping[str, Compared], nodes: Iterable[Node], layers: Iterable[Layer]) -> list[LayerError]:
    """Return a row for each layer, and one for each bad operator without weights, in the order of execution."""
    names = names_of(nodes, layers)
    errors: list[LayerError] = []
    listed: set[int] = set()
    for tensor, entry in compared.items():
        weighted = [node for node in entry.segment if id(node) in names and id(node) not in listed]
        listed |= {id(node) for node in weighted}
        kind = next((node.kinds[0] for node in reversed(entry.segment) if node.kinds), "")
        label = " + ".join(names[id(node)] for node in weighted) or f"{kind.lower()} {tensor[-60:]}".strip()
        row = _row(label, entry.whole, entry.own)
        if weighted or (row.bad and entry.segment):
            errors.append(row)
    unpaired = (name for number, name in names.items() if number not in listed)
    nothing = {"sqnr_db": None, "max_abs": 0.0, "cosine": 0.0, "paired": False}
    return [*errors, *(LayerError(layer=name, **nothing) for name in unpaired)]


def names_of(nodes: Iterable[Node], layers: Iterable[Layer]) -> dict[int, str]:
    """Return the source network's layer name for each node of the twin with weights, by the node's id.

    Of several layers with the same number of weights the one with the same weights is taken, in whatever order the
    nodes are listed. A node that fits no layer is named by its kind.
    """
    left, names = list(layers), {}
    for i, node in enumerate((node for node in nodes if node.weights), start=1):
        fitting = [layer for layer in left if layer.parameters == node.weights]
        layer = min(fitting, key=lambda layer: _distance(layer.shapes, node.shapes), default=None)
        if layer:
            left.remove(layer)
        names[id(node)] = layer.name if layer else f"{node.kinds[0].lower()} {i}"
    return names


def _distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(map(abs, np.subtract(one, other))) if len(one) == len(other) > 0 else math.inf
