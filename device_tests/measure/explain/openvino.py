"""Placements of OpenVINO's files, and of .onnx files on OpenVINO: its CPU plugin lists the layers that it executes."""

from pathlib import Path
from xml.etree import ElementTree

from device_tests.measure.explain import onnx
from device_tests.measure.explain.engine import Engine
from device_tests.measure.explain.placement import Facts
from device_tests.results.placements import Operator, Part

_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "uint8"}
_DTYPES |= dict.fromkeys(("i4", "u4"), "int4")
_INTEGER = ("I8", "i8", "u8")  # suffixes of such kernels' names


def explain(path: Path, runtime: str) -> Facts:
    """Compile the file as the runtime does, and list the layers of the executed graph."""
    layers, _ = Engine("openvino", path).described("executed")
    kernels = sorted({layer["kernel"].rpartition("_")[0] for layer in layers if "weights" in layer})
    return Facts(
        operators=tuple(map(_operator, layers)),
        parts=_parts(path) if path.is_dir() else onnx.parts(path),
        library=f"OpenVINO's CPU plugin ({', '.join(kernels)})",
        notes=_notes(layers),
    )


def _operator(layer: dict) -> Operator:
    stored = layer.get("stored", "")
    takes = _DTYPES.get(layer["takes"], layer["takes"])
    integer = layer["kernel"].endswith(_INTEGER) and takes in ("int8", "uint8")
    weights = {"weights": _DTYPES.get(stored, stored), "parameters": layer.get("weights", 0)}
    return Operator(name=layer["kind"], activations=takes, integer=integer, **weights)


def _parts(path: Path) -> tuple[Part, ...]:
    """Return the tensors of model.bin by the names in model.xml, and model.xml itself."""
    placed = {}
    for layer in ElementTree.parse(path / "model.xml").iter("layer"):
        data = layer.find("data")
        if layer.attrib["type"] == "Const" and data is not None:
            several = sum(int(size) > 1 for size in data.attrib["shape"].split(",") if size.strip()) > 1
            section = "weights" if several else "biases, scales and constants"
            part = Part(name=layer.attrib["name"], section=section, size_bytes=int(data.attrib["size"]))
            placed.setdefault(data.attrib["offset"], part)  # equal ones share their bytes
    rest = (path / "model.bin").stat().st_size - sum(part.size_bytes for part in placed.values())
    text = (path / "model.xml").stat().st_size
    graph = Part(name="model.xml: operators, attributes, names", section="graph", size_bytes=text)
    return (*placed.values(), Part(name="alignment", section="graph", size_bytes=max(rest, 0)), graph)


def _notes(layers: list[dict]) -> tuple[str, ...]:
    """Return notes on narrow weights that are widened before they are multiplied, and on slow reference kernels."""
    notes = []
    if slow := [layer["kind"] for layer in layers if layer["kernel"].startswith("ref")]:
        notes.append(f"{len(slow)} of {len(layers)} layers run reference kernels: {', '.join(sorted(set(slow)))}")
    narrow = (layer for layer in layers if layer.get("stored") in ("i8", "u8", "i4", "u4"))
    if wide := [layer for layer in narrow if not _operator(layer).integer]:
        notes.append(f"{len(wide)} layers store narrow weights and multiply in {_operator(wide[0]).activations}")
    return tuple(notes)
