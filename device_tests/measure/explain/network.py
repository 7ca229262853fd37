"""Placements of bare networks and SavedModels: frameworks compute them in float32, operator by operator."""

import zipfile
from pathlib import Path

from device_tests.measure.explain import source
from device_tests.measure.explain.placement import Facts
from device_tests.results.placements import Operator, Part
from export.formats import savedmodel
from models.common import files

# operators with weights; the last is a transposed convolution
_WEIGHTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "Conv2DBackpropInput")


def explain(path: Path, runtime: str) -> Facts:
    """List the operators of a SavedModel's signature, or the tensors of a checkpoint as its layers."""
    operators = _graph(path) if path.is_dir() else _layers(path)
    library = {"torch": "oneDNN and ATen", "tensorflow": "TensorFlow's own kernels and oneDNN"}[runtime]
    return Facts(operators=operators, parts=_parts(path), library=library)


def _graph(path: Path) -> tuple[Operator, ...]:
    functions = savedmodel._parsed(path / savedmodel._VERSION).meta_graphs[0].graph_def.library.function
    (function,) = (f for f in functions if any(node.op in _WEIGHTED for node in f.node_def))
    names = (node.op for node in function.node_def if node.op not in ("Const", "Identity", "NoOp", "ReadVariableOp"))
    return tuple(
        Operator(name=name, weights="float32" if name in _WEIGHTED else "", activations="float32") for name in names
    )


def _layers(path: Path) -> tuple[Operator, ...]:
    model = path.name.split("-")[0]
    return tuple(Operator(name=n.name, weights="float32", activations="float32") for n in source.layers(model))


def _parts(path: Path) -> tuple[Part, ...]:
    if path.is_dir():
        sizes = ((str(file.relative_to(path)), file.stat().st_size) for file in files.members(path))
        return tuple(Part(name=name, section="files", size_bytes=size) for name, size in sizes)
    if zipfile.is_zipfile(path):  # of torch.export or Keras
        with zipfile.ZipFile(path) as archive:
            members = tuple(
                Part(name=e.filename, section="files", size_bytes=e.compress_size) for e in archive.infolist()
            )
        rest = path.stat().st_size - sum(p.size_bytes for p in members)
        return (*members, Part(name="names, alignment, directory of the archive", section="archive", size_bytes=rest))
    if path.suffix == ".h5":
        return (Part(name="weights and their names", section="files", size_bytes=path.stat().st_size),)
    from safetensors.numpy import load_file

    tensors = load_file(path)
    parts = tuple(
        Part(name=name, section="weights" if t.ndim > 1 else "biases and constants", size_bytes=t.nbytes)
        for name, t in tensors.items()
    )
    rest = path.stat().st_size - sum(p.size_bytes for p in parts)
    return (*parts, Part(name="names and shapes", section="header", size_bytes=rest))
