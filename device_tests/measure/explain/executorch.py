"""Placements of .pte files: the program and XNNPACK's graph in it say which kernels compute what, in which numbers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from device_tests.measure.explain.placement import Facts, left_operators
from device_tests.results.placements import Operator, Part
from export.formats import _executorch_file

_WEIGHTED = ("XNNConv2d", "XNNDepthwiseConv2d", "XNNFullyConnected", "XNNConvTranspose2d")
_WEIGHTED_KERNELS = {"aten::convolution": 1, "aten::addmm": 2, "aten::linear": 1}  # the index of the weight
_QUANTIZED = ("qint8", "quint8", "qdint8", "qcint8", "qcint4", "qbint4", "qint32", "qcint32", "qpint8")


def explain(path: Path, runtime: str) -> Facts:
    """Read the file; the runtime executes exactly the operators in it."""
    plan, steps = _executorch_file.program(path)
    operators: list[Operator] = []
    parts: list[Part] = []
    for step in steps:
        if isinstance(step, dict):
            operators += _nodes(step)
            parts += _constants(step)
        else:
            operators.append(_kernel(plan, step))
    # those that portable kernels take
    constants = {v.data_buffer_idx: v for v in (v.val for v in plan.values) if getattr(v, "data_buffer_idx", 0)}
    parts += [_part(t.sizes, _executorch_file.scalar(t), _executorch_file.size_bytes(t)) for t in constants.values()]
    rest = path.stat().st_size - sum(p.size_bytes for p in parts)
    taken = any(o.taken for o in operators)
    return Facts(
        operators=tuple(operators),
        parts=(*parts, Part(name="program, graph, alignment", section="graph", size_bytes=rest)),
        library="XNNPACK" if taken else "ExecuTorch's portable kernels",
        delegate="XNNPACK",
        notes=left_operators("to portable kernels", operators),
    )


def _kernel(plan: Any, call: Any) -> Operator:
    name = plan.operators[call.op_index].name
    tensors = [v for v in (plan.values[i].val for i in call.args) if hasattr(v, "scalar_type")]
    activations = _executorch_file.scalar(tensors[0]) if tensors else ""
    weights = _executorch_file.scalar(tensors[_WEIGHTED_KERNELS[name]]) if name in _WEIGHTED_KERNELS else ""
    return Operator(name=name, weights=weights, activations=activations, integer="int" in activations)


def _nodes(graph: Mapping[str, Any]) -> list[Operator]:
    tensors = {t["id_out"]: t for t in _executorch_file.graph_tensors(graph)}
    datatypes = {number: t["datatype"].removeprefix("xnn_datatype_") for number, t in tensors.items()}
    operators = []
    for node in graph["xnodes"]:
        name, fields = node["xnode_union_type"], node["xnode_union"]
        inputs = datatypes[fields["input1_id"] if "input1_id" in fields else fields["input_id"]]
        weights = {}
        if name in _WEIGHTED and (kernel := tensors[fields["filter_id"]])["constant_buffer_idx"]:
            dtype, *_ = _executorch_file.DATATYPES[kernel["datatype"]]
            weights = {"weights": dtype, "parameters": math.prod(kernel["dims"])}
        activations = {"fp32": "float32", "fp16": "float16"}.get(inputs, inputs)
        facts = {"activations": activations, "integer": inputs in _QUANTIZED, **weights}
        operators.append(Operator(name=name, taken=True, **facts))
    return operators


def _constants(graph: Mapping[str, Any]) -> list[Part]:
    """Return the delegate's constants, named after the nodes that take them; those that no tensor names are scales."""
    taken_by = {
        number: f"{node['xnode_union_type']} {i}"
        for i, node in enumerate(graph["xnodes"])
        for field, number in node["xnode_union"].items()
        if field.endswith("_id") and field != "output_id"
    }
    parts, named = [], set()
    for tensor in _executorch_file.graph_tensors(graph):
        at = tensor["constant_buffer_idx"]
        if not at or at in named:
            continue
        named.add(at)
        dtype, size_bytes = tensor["datatype"].removeprefix("xnn_datatype_"), graph["constant_data"][at]["size"]
        parts.append(_part(tensor["dims"], dtype, size_bytes, f"{taken_by.get(tensor['id_out'], 'unused')}: "))
    scales = sum(c["size"] for i, c in enumerate(graph["constant_data"]) if i not in named)
    return [*parts, Part(name="scales", section="biases and constants", size_bytes=scales)] if scales else parts


def _part(shape: Sequence[int], dtype: str, size_bytes: int, taken_by: str = "") -> Part:
    section = "weights" if len(shape) > 1 else "biases and constants"
    return Part(name=f"{taken_by}{'x'.join(map(str, shape))} {dtype}", section=section, size_bytes=size_bytes)
