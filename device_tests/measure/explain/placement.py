"""Makes placements from the facts that a format's module reads: names the layers, and lists the defects."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from device_tests.results.placements import DELEGATED, INTEGERS, Defect, Operator, Part, Placement
from export.schemes import SCHEMES
from models.common.errors import DataError

INTEGER = ("dynamic_int8", "int8", "int8_io", "int16x8", "int4", "qat_int8")  # schemes that promise integer products
LEAST_INTEGER = 0.9  # of the weights, where activations are calibrated
LEAST_DELEGATED = 0.9  # of the MACs: a delegate that takes less is as good as none


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with weights of the source network; `macs` and `parameters` are of one image, without biases.

    `shapes` are its weights' `compare.channel_shapes`, by which the layer is recognised in a float file.
    """

    name: str
    macs: int
    parameters: int
    shapes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a format's module reads; `delegate` is "" where the runtime has none."""

    operators: tuple[Operator, ...]
    parts: tuple[Part, ...]
    library: str
    delegate: str = ""
    notes: tuple[str, ...] = ()


def left_operators(where: str, operators: Iterable[Operator]) -> tuple[str, ...]:
    """Return a note on the operators that no delegate takes, which are left `where`: by what, or to what."""
    left = sorted({f"{o.name} ({o.activations})" for o in operators if not o.taken})
    return (f"left {where}: {', '.join(left)}",) if left else ()


def with_layers(operators: tuple[Operator, ...], layers: tuple[Layer, ...]) -> tuple[Operator, ...]:
    """Return the operators, those with weights named after the next source layer of as many parameters.

    An operator whose file does not tell the number of parameters gets the next layer. Raises DataError where a layer or
    an operator is left over, for then no name is certain.
    """
    weighted = [o for o in operators if o.weights]
    left, named = list(layers), []
    for operator in operators:
        of = None
        if operator.weights:
            fitting = (layer for layer in left if operator.parameters in (0, layer.parameters))
            of = next(fitting, None)
            if of is None:
                break
            left.remove(of)
        named.append(replace(operator, layer=of.name, macs=of.macs, parameters=of.parameters) if of else operator)
    if left or len(named) < len(operators):
        raise DataError(
            f"the file computes {len(weighted)} layers with weights ({', '.join(o.name for o in weighted)}), "
            f"the network has {len(layers)}, and they do not fit each other: export it again, or teach "
            "device_tests/measure/explain its operators."
        )
    return tuple(named)


def defects(placement: Placement, scheme: str) -> tuple[Defect, ...]:
    """Return what contradicts the scheme's name or the delegate's purpose."""
    contradictions = []
    share = placement.delegated_macs
    if share is not None and share < LEAST_DELEGATED:
        taken = sum(o.taken for o in placement.operators)
        text = f"{placement.delegate} took {share:.0%} of the MACs ({taken} of {len(placement.operators)} operators)"
        contradictions.append(Defect(kind=DELEGATED, share=share, text=text))
    if SCHEMES[scheme].base in INTEGER:
        weighted = [o for o in placement.operators if o.weights]
        share = sum(o.parameters for o in weighted if o.integer) / (sum(o.parameters for o in weighted) or 1)
        least = LEAST_INTEGER if SCHEMES[scheme].static else 0.0  # elsewhere the sidecar says what is not quantized
        if share < least or not share:
            wide = ", ".join(o.layer for o in weighted if not o.integer)
            text = f"{scheme} computes only {share:.0%} of the weights in integers; in float: {wide}"
            contradictions.append(Defect(kind=INTEGERS, share=share, text=text))
    return tuple(contradictions)
