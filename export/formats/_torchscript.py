"""What .pt and .ptl share: the traced network and its quantization, an archive that repeats, and its reading."""

from __future__ import annotations

import io
import math
import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contents, Tensor
from export.source import Source

_DEPRECATED = (r"`torch\.jit\.\w+` is deprecated", r"torch\.ao\.quantization is deprecated", "Lite Interpreter is deprecated")
_DTYPES = {"FloatStorage": "float32", "HalfStorage": "float16", "DoubleStorage": "float64", "QInt8Storage": "int8"}
_SHAPE = "extra/input_shape"  # what torch.jit.load(..., _extra_files={"input_shape": ""}) returns


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what PyTorch says of these formats at every step: that they are deprecated."""
    with warnings.catch_warnings():
        for message in _DEPRECATED:
            warnings.filterwarnings("ignore", message)
        yield


def save(source: Source, scheme: str, target: Path, serialize: Callable[[Any], bytes]) -> None:
    """Write the network, quantized as `scheme` says, in the form that `serialize` gives a ScriptModule."""
    with quiet():
        content = serialize(source.memo(f"torchscript-{scheme}", lambda: _script(source, scheme)))
        target.write_bytes(_repeatable(content, source.spec.input_shape))


def _script(source: Source, scheme: str) -> Any:
    import torch

    network = {"float32": _float32, "dynamic_int8": _dynamic_int8, "int8": _int8}[scheme](source)
    example = torch.zeros(1, *source.spec.input_shape)
    frozen = torch.jit.freeze(torch.jit.trace(network, example, check_trace=False))
    # A traced module's type is named after how many others the process has traced, and so are the bytes. A frozen
    # graph needs nothing of its module: as a function in a compilation unit of its own, it always has the same name.
    graph = frozen.graph.copy()
    graph.eraseInput(0)
    function = torch._C._create_function_from_graph("forward", graph)
    return torch.jit.load(io.BytesIO(function.save_to_buffer())).eval()


def _float32(source: Source) -> Any:
    return source.network


def _dynamic_int8(source: Source) -> Any:
    """Quantize the dense layers: PyTorch has no dynamic convolution."""
    from torch import nn
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    return quantize_dynamic(source.fresh_network(), {nn.Linear: per_channel_dynamic_qconfig})


def _int8(source: Source) -> Any:
    """Quantize with the observers of the x86 engine. The file holds no engine: whichever loads it packs the weights.

    They keep activations to 7 bits, without which x86 saturates where it has no VNNI; QNNPACK on Arm takes both.
    """
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    images = torch.from_numpy(source.calibration)
    prepared = prepare_fx(source.fresh_network(), get_default_qconfig_mapping("x86"), (images[:1],))
    with torch.inference_mode():
        prepared(images)
    return convert_fx(prepared)


def _repeatable(content: bytes, input_shape: tuple[int, ...]) -> bytes:
    """Return the archive without its debug records, which name the files and lines of this very machine."""
    import torch

    reader = torch._C.PyTorchFileReader(io.BytesIO(content))
    packed = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(packed)
    writer.set_min_version(int(reader.get_record("version")))  # else operators are read as those of an older PyTorch
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in ("version", "byteorder", ".data/serialization_id"):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    shape = ",".join(map(str, (1, *input_shape)))
    writer.write_record(_SHAPE, shape, len(shape))
    writer.write_end_of_file()
    return packed.getvalue()


def inspect(path: Path) -> Contents:
    """Return what is in the archive; nothing of it is executed."""
    with zipfile.ZipFile(path) as archive:
        records = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    weights = _Weights.of(records["constants.pkl"]) + _Weights.of(records["data.pkl"])
    counts: Counter[str] = Counter()
    for dtype, shape in weights:
        counts[dtype] += math.prod(shape)
    shape = tuple(int(size) for size in records[_SHAPE].decode().split(","))
    return Contents(
        inputs=(Tensor(name="image", shape=shape, dtype="float32"),),
        outputs=(Tensor(name="logits", shape=(1, 10), dtype="float32"),),
        weights=counts,
        notes=_notes(records, weights),
    )


def _notes(records: dict[str, bytes], weights: list[tuple[str, tuple[int, ...]]]) -> tuple[str, ...]:
    code = b"".join(records[name] for name in records if name.startswith("code/")).decode()
    quantized = Counter(re.findall(r"ops\.quantized\.(\w+)\(", code))
    if not quantized:
        return ()
    notes = ["quantized operators: " + ", ".join(f"{name} x {n}" for name, n in quantized.items())]
    if wide := [shape for dtype, shape in weights if dtype != "int8"]:
        notes.append(f"stay float32: weights of shape {', '.join('x'.join(map(str, shape)) for shape in wide)}")
    if "quantize_per_tensor" in code:
        notes.append("activations in 7 bits, for the x86 engine without VNNI; the file also runs on fbgemm, onednn and qnnpack")
    return tuple(notes)


class _Weights(pickle.Unpickler):
    """Lists the tensors that a TorchScript pickle would build: whatever it calls becomes a record of the call."""

    @classmethod
    def of(cls, content: bytes) -> list[tuple[str, tuple[int, ...]]]:
        """Return dtype and shape of each tensor of two or more dimensions: biases, scales and scalars have fewer."""
        reader = cls(io.BytesIO(content))
        reader.found = []
        reader.load()
        return reader.found

    def persistent_load(self, pid: tuple[Any, ...]) -> str:
        return pid[1].__name__  # ("storage", class, key, device, elements)

    def find_class(self, module: str, name: str) -> type:
        def call(cls: type, *arguments: Any) -> Any:
            if name in ("_rebuild_tensor_v2", "_rebuild_qtensor"):
                storage, _, shape, *_ = arguments
                if len(shape) > 1:
                    self.found.append((_DTYPES.get(storage, storage), shape))
            return object.__new__(cls)

        return type(name, (), {"__new__": call, "__setstate__": lambda self, state: None})


def run(module: Any, images: np.ndarray) -> np.ndarray:
    """Answer one image after the other, with one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return np.concatenate([module(torch.from_numpy(images[i : i + 1])).numpy() for i in range(len(images))])
    finally:
        torch.set_num_threads(threads)
