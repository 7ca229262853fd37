"""Placements of .tflite files: the operators come from the file, the delegate's share from the runtime itself."""

import atexit
import json
import subprocess
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.contract import Command
from device_tests.measure.explain import _tflite_placement
from device_tests.measure.explain.placement import Facts, left_operators
from device_tests.results.placements import Operator, Part
from device_tests.transport.deadline import deadline
from device_tests.transport.starting import started
from models.common import environments, processes
from models.common.errors import EdgewiseError

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
TIMEOUT_S = 300.0  # for one file, the runtime's import included
_LONGEST = 1 << 20  # characters of an answer
_TILE_BYTES, _FEW = 64, 4  # bytes of a row of AMX' tiles; fewer channels leave nearly all of it empty


def explain(path: Path, runtime: str) -> Facts:
    """Read the file, load it in the runtime's own environment and ask which operators the delegate took."""
    from export.formats import _tflite_file

    content = path.read_bytes()
    model = _tflite_file.parse(content)
    placed = _placement(path, runtime)
    operators = _operators(model, set(placed["taken"]))
    notes = (*left_operators("by XNNPACK", operators), *_narrow_inputs(model, operators, placed["amx"]))
    return Facts(
        operators=operators,
        parts=_parts(model, len(content)),
        library="XNNPACK" if placed["taken"] else "TensorFlow Lite's own kernels",
        delegate="XNNPACK",
        notes=(*notes, *_compiled(operators, placed)),
    )


def _placement(path: Path, runtime: str) -> dict[str, Any]:
    """Ask the runtime which operators its delegate takes; raises EdgewiseError however its process fails."""
    process = _process(runtime)
    try:
        answer = _ask(process, str(path.resolve()))
    except EdgewiseError as error:
        _process.cache_clear()  # the next file gets a process of its own
        processes.kill(process)
        answer = {"error": error}
    if "error" in answer:
        raise EdgewiseError(f"{runtime} does not load {path.name}: {answer['error']}")
    return answer


def _ask(process: subprocess.Popen[str], line: str) -> dict[str, Any]:
    """Send a line to a process and return its reply; raises EdgewiseError where none comes in time, or garbage."""
    with deadline(process, TIMEOUT_S) as expired:
        with suppress(BrokenPipeError):  # it has died, and no reply will come
            print(line, file=process.stdin, flush=True)
        answer = process.stdout.readline(_LONGEST)
    if expired.is_set():
        raise EdgewiseError(f"no answer in {TIMEOUT_S:g} s")
    if not answer:
        raise EdgewiseError(processes.death(process.wait()))
    with suppress(ValueError, RecursionError):
        content = json.loads(answer)
        if _is_answer(content):
            return content
    raise EdgewiseError(f"its process wrote something that is no answer: {answer.strip()[:200]!r}")


def _is_answer(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    if "error" in content:
        return isinstance(content["error"], str)
    taken, flags = content.get("taken"), (content.get("amx"), content.get("accelerated"))
    are_places = isinstance(taken, list) and all(type(place) is int for place in taken)
    return are_places and all(flag in (True, False, None) for flag in flags)


@lru_cache
def _process(runtime: str) -> subprocess.Popen[str]:
    """Return a process of the runtime's environment that replies for one file after another: the import takes long."""
    python = environments.python(runtime, install=f"nox -s 'device_tests({runtime})' -- --only '*-tflite-float32'")
    # -P: the modules beside the program would shadow libraries' names
    command = Command(argv=(str(python), "-P", _tflite_placement.__file__, runtime))
    process = started(command, subprocess.DEVNULL)
    atexit.register(processes.kill, process)
    return process


def _operators(model: Any, taken: set[int]) -> tuple[Operator, ...]:
    from ai_edge_litert.tools import flatbuffer_utils

    tensors, operators = model.subgraphs[0].tensors, model.subgraphs[0].operators
    names = [flatbuffer_utils.opcode_to_name(model, o.opcodeIndex) for o in operators]
    widened = {o.outputs[0]: o.inputs[0] for name, o in zip(names, operators, strict=True) if name == "DEQUANTIZE"}

    def is_constant(tensor: int) -> bool:
        return model.buffers[tensors[widened.get(tensor, tensor)].buffer].data is not None

    def dtype(tensor: int) -> str:
        return flatbuffer_utils.type_to_name(tensors[tensor].type).lower()

    listed = []
    for i, (name, operator) in enumerate(zip(names, operators, strict=True)):
        image = operator.inputs[2 if name == "TRANSPOSE_CONV" else 0]  # its first input is the output's shape
        weights, parameters, channels, integer = "", 0, 0, not dtype(image).startswith("float")
        if name in WEIGHTED and is_constant(kernel := operator.inputs[1]):  # else the product is of two activations
            weights, parameters = dtype(widened.get(kernel, kernel)), parameters_of(tensors[kernel])
            channels = 1 if name == "DEPTHWISE_CONV_2D" else int(tensors[kernel].shape[-1])
            # float activations and integer weights: the kernel quantizes the activations first
            integer = dtype(kernel).startswith(("int", "uint"))
        facts = {"weights": weights, "parameters": parameters, "channels": channels, "integer": integer}
        listed.append(Operator(name=name, activations=dtype(image), taken=i in taken, **facts))
    return tuple(listed)


def parameters_of(weights: Any) -> int:
    """Return how many weights a tensor holds, without the zeros that rewrites put between them."""
    from export.rewrites import pixels_as_channels

    shape = np.empty(tuple(map(int, weights.shape)), bool)
    return pixels_as_channels.as_converted(weights.name.decode(), shape).size


def _parts(model: Any, size_bytes: int) -> tuple[Part, ...]:
    tensors = {t.buffer: t for t in model.subgraphs[0].tensors}
    parts = []
    for i, buffer in enumerate(model.buffers):
        if buffer.data is None or not len(buffer.data):
            continue
        tensor = tensors.get(i)
        name = tensor.name.decode().rpartition("/")[2].rstrip(";") if tensor else f"buffer {i}"
        wide = tensor is not None and tensor.shape is not None and len(tensor.shape) > 1  # a scalar has no shape
        section = "weights" if wide else "biases and constants" if tensor else "metadata"
        parts.append(Part(name=name, section=section, size_bytes=len(buffer.data)))
    rest = size_bytes - sum(p.size_bytes for p in parts)
    return (*parts, Part(name="operators, scales, names", section="graph", size_bytes=rest))


def _narrow_inputs(model: Any, operators: tuple[Operator, ...], amx: bool | None) -> tuple[str, ...]:
    """Return notes on convolutions that waste AMX: its kernels take 64 bytes of channels per tap, however few are used."""
    if not amx:
        return ()
    graph = model.subgraphs[0]
    channels = [
        int(graph.tensors[raw.inputs[0]].shape[-1])
        for raw, o in zip(graph.operators, operators, strict=True)
        if o.taken and o.activations == "int8" and o.name in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]
    return tuple(
        f"an int8 convolution of {n} channel{'s' * (n > 1)} fills {n} of the {_TILE_BYTES} bytes of an AMX tile's row: "
        "its time here says nothing about CPUs without AMX"
        for n in channels
        if n < _FEW
    )


def _compiled(operators: tuple[Operator, ...], placed: dict[str, Any]) -> tuple[str, ...]:
    if placed["accelerated"] is None:
        return ()
    same = placed["accelerated"] == all(o.taken for o in operators)
    differ = f"and the two differ: CompiledModel says fully accelerated is {placed['accelerated']}"
    only = "CompiledModel tells only whether all is accelerated; the rows are those of the same library's Interpreter"
    return (only,) if same else (only, differ)
