"""Reads an ExecuTorch program: inputs and outputs, weights, and which operators a delegate took."""

import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from export.contract import BITS, Contents, Layer, Tensor, tables, weights_by_dtype
from export.formats import _quiet

# XNNPACK's names for what a weight is stored in, with its bits per element
DATATYPES = {
    "xnn_datatype_fp32": ("float32", 32),
    "xnn_datatype_fp16": ("float16", 16),
    "xnn_datatype_qint8": ("int8", 8),
    "xnn_datatype_qcint8": ("int8", 8),
    "xnn_datatype_qcint4": ("int4", 4),
    "xnn_datatype_qbint4": ("int4", 4),
}
_ITEM_BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int": 4, "bool": 1}
_SCALARS = {"FLOAT": "float32", "HALF": "float16", "CHAR": "int8", "BYTE": "uint8"}


# leaves out what is said whenever the tools are imported or used: of torchao's extras for GPUs, and of deprecations
quiet = partial(
    _quiet.quiet, r"`isinstance\(treespec, LeafSpec\)` is deprecated", loggers=("torchao", "torch.utils._pytree")
)


def program(path: Path) -> tuple[Any, list[Any]]:
    """Return a file's execution plan and its steps: a kernel's call, or what a delegate executes as XNNPACK's graph."""
    with quiet():
        from executorch.exir._serialize import _deserialize_pte_binary
        from executorch.exir.schema import DelegateCall, KernelCall

    file = _deserialize_pte_binary(path.read_bytes())
    plan = file.program.execution_plan[0]
    steps: list[Any] = []
    for instruction in (i.instr_args for chain in plan.chains for i in chain.instructions):
        if isinstance(instruction, KernelCall):
            steps.append(instruction)
        elif isinstance(instruction, DelegateCall):
            payload = plan.delegates[instruction.delegate_index].processed
            steps.append(_xnnpack_graph(file.program.backend_delegate_data[payload.index].data))
    return plan, steps


def contents(path: Path) -> Contents:
    """Return what is in the file; layers are weights of two or more dimensions. Raises ValueError where sizes contradict dtypes."""
    plan, steps = program(path)
    kernels = [(plan.operators[step.op_index].name, step.args) for step in steps if not isinstance(step, dict)]
    convolved = {arguments[1] for name, arguments in kernels if name == "aten::convolution"}
    stored = {i: v.val for i, v in enumerate(plan.values) if getattr(v.val, "data_buffer_idx", 0)}
    layers = [
        Layer(operator="", shape=tuple(value.sizes), dtype=scalar(value), quantizable=i in convolved)
        for i, value in stored.items()
        if len(value.sizes) > 1 and scalar(value) in BITS
    ]
    constants = sum(size_bytes(value) for value in stored.values())
    delegated: list[str] = []
    for graph in (step for step in steps if isinstance(step, dict)):
        delegated += [node["xnode_union_type"] for node in graph["xnodes"]]
        layers += _xnnpack_layers(graph)
        constants += sum(constant["size"] for constant in graph["constant_data"])
    return Contents(
        inputs=_tensors("image", plan, plan.inputs),
        outputs=_tensors("logits", plan, plan.outputs),
        weights=weights_by_dtype(layers),
        layers=tuple(layers),
        constants=constants,
        tables=tables(((scalar(value), tuple(value.sizes), size_bytes(value)) for value in stored.values()), layers),
        parts=len(delegated) + len(kernels),
        notes=tuple(_notes(layers, delegated, [name for name, _ in kernels], plan.values[plan.inputs[0]].val)),
    )


def _notes(layers: list[Layer], delegated: list[str], left: list[str], image: Any) -> Iterator[str]:
    """Say how many operators the delegate took, which it left to the portable kernels, and what else a reader must know."""
    undelegated = ", ".join(f"{name} x {count}" for name, count in Counter(left).items())
    end = f"; left: {undelegated}" if undelegated else ""
    yield f"{len(delegated)} of {len(delegated) + len(left)} operators delegated to XNNPACK{end}"
    if image.shape_dynamism:
        yield f"takes up to {image.sizes[0]} images at once"
    quantized = {"int8", "int4", "float16"} & {layer.dtype for layer in layers}
    wide = [f"{layer} {layer.dtype}" for layer in layers if layer.dtype not in quantized]
    if quantized and wide:
        yield f"weights that stay wide: {', '.join(wide)}"


def scalar(tensor: Any) -> str:
    """Return the dtype of a plan's tensor."""
    return _SCALARS.get(tensor.scalar_type.name, tensor.scalar_type.name.lower())


def size_bytes(tensor: Any) -> int:
    """Return how many bytes a plan's tensor takes."""
    return math.prod(tensor.sizes) * _ITEM_BYTES.get(scalar(tensor), 8)


def _tensors(name: str, plan: Any, indices: list[int]) -> tuple[Tensor, ...]:
    values = [plan.values[index].val for index in indices]
    shapes = [(-1, *value.sizes[1:]) if value.shape_dynamism else tuple(value.sizes) for value in values]
    return tuple(
        Tensor(name=name, shape=shape, dtype=scalar(value)) for shape, value in zip(shapes, values, strict=True)
    )


def _xnnpack_graph(payload: bytes) -> Mapping[str, Any]:
    """Return the flatbuffer in a delegate's payload, read by the wheel's own schema."""
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader, _get_schema_bytes
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    payload = bytes(payload)
    header = XNNHeader.from_bytes(payload[: XNNHeader.EXPECTED_LENGTH])
    with tempfile.TemporaryDirectory() as folder:
        schema, binary = Path(folder, "schema.fbs"), Path(folder, "graph.bin")
        schema.write_bytes(_get_schema_bytes())
        binary.write_bytes(payload[header.flatbuffer_offset :][: header.flatbuffer_size])
        _flatc_decompile(folder, str(schema), str(binary))
        text = binary.with_suffix(".json").read_text()
    return json.loads(re.sub(r": (-?)inf\b", r": \1Infinity", text))  # bounds of a ReLU, which flatc writes as inf


def graph_tensors(graph: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tensors of XNNPACK's graph."""
    values = (v["xvalue_union"] for v in graph["xvalues"])
    return [value.get("tensor_value", value) for value in values]  # a quantized value wraps the plain one


def _xnnpack_layers(graph: Mapping[str, Any]) -> list[Layer]:
    users = {n["xnode_union"].get("filter_id"): n["xnode_union_type"].removeprefix("XNN") for n in graph["xnodes"]}
    layers = []
    for tensor in graph_tensors(graph):
        shape = tuple(tensor["dims"])
        if not tensor["constant_buffer_idx"] or len(shape) < 2:
            continue
        dtype, bits = DATATYPES[tensor["datatype"]]
        stored = graph["constant_data"][tensor["constant_buffer_idx"]]["size"]
        if stored != math.ceil(math.prod(shape) * bits / 8):
            raise ValueError(f"the delegate calls a weight of shape {shape} {dtype}, but stores it in {stored:,} bytes")
        user = users.get(tensor["id_out"], "")
        # a batch norm that follows no convolution is one of a factor per channel, which the quantizer leaves in float
        is_norm = math.prod(shape) == max(shape)
        layers.append(Layer(operator=user, shape=shape, dtype=dtype, quantizable=bool(user) and not is_norm))
    return layers
