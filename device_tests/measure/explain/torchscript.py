"""Placements of .pt and .ptl files: the graph's operators, and the bytes of each record in the archive."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from device_tests.measure.explain.placement import Facts
from device_tests.results.placements import Operator, Part
from export.formats import _torchscript

_WEIGHTED = {
    **dict.fromkeys(("aten::_convolution", "aten::conv2d", "aten::linear"), ("float32", "float32", False)),
    "quantized::linear_dynamic": ("int8", "float32", True),  # activations are quantized on the way
    **dict.fromkeys(("quantized::linear", "quantized::linear_relu"), ("int8", "quint8", True)),
    **dict.fromkeys(("quantized::conv2d", "quantized::conv2d_relu"), ("int8", "quint8", True)),
}
_INERT = ("prim::", "aten::to")


def explain(path: Path, runtime: str) -> Facts:
    """List the operators of the graph, or of the bytecode in a file for the lite interpreter."""
    import torch

    engine = torch.backends.quantized.engine
    operators = tuple(_operator(name) for name in _operators(path) if not name.startswith(_INERT))
    with zipfile.ZipFile(path) as archive:
        parts = tuple(_part(entry) for entry in archive.infolist())
    rest = path.stat().st_size - sum(p.size_bytes for p in parts)
    quantized = any(o.integer and o.weights for o in operators)
    return Facts(
        operators=operators,
        parts=(*parts, Part(name="names, alignment, directory of the archive", section="archive", size_bytes=rest)),
        library="oneDNN and ATen" + (f", quantized layers by the engine {engine!r}" if quantized else ""),
    )


def _operators(path: Path) -> list[str]:
    import torch

    with _torchscript.quiet():
        if path.suffix != ".ptl":
            return [node.kind() for node in torch.jit.load(path).graph.nodes()]
    return _bytecode(path)


def _bytecode(path: Path) -> list[str]:
    """Return the operators that the lite interpreter executes, in order; nothing in the file is executed here."""
    with zipfile.ZipFile(path) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith("/bytecode.pkl"))
        _, (_, *tables) = _Inert(io.BytesIO(archive.read(record))).load()
    code = dict(entry for table in tables for entry in table if isinstance(entry, tuple) and len(entry) == 2)
    names = [name for name, *_ in code["operators"]]
    return [names[place] for operation, place, _ in code["instructions"] if operation in ("OP", "OPN")]


class _Inert(pickle.Unpickler):
    """Reads a pickle of names and numbers; every object that it would build is an empty one instead."""

    def persistent_load(self, pid: Any) -> None:
        return None

    def find_class(self, module: str, name: str) -> type:
        return type(name, (), {"__new__": lambda cls, *_: object.__new__(cls), "__setstate__": lambda self, _: None})


def _operator(name: str) -> Operator:
    weights, activations, integer = _WEIGHTED.get(name, ("", "", False))
    return Operator(name=name, weights=weights, activations=activations, integer=integer)


def _part(entry: zipfile.ZipInfo) -> Part:
    name = entry.filename.split("/", 1)[1]
    tensor = name.startswith(("constants/", "data/"))
    return Part(name=name, section="tensors" if tensor else "code and records", size_bytes=entry.compress_size)
