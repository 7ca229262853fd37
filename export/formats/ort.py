"""The ORT format: the graph as onnxruntime's builds for mobile apps load it, optimized beforehand."""

import tempfile
from pathlib import Path

from export.contract import Contents
from export.formats import _onnxruntime, onnx
from export.source import Source
from models.common.errors import Unsupported

suffix = ".ort"
irreproducible = (
    "onnxruntime writes one table of the file (kernel_type_str_resolver) in the order of a hash map over addresses; "
    "graph and weights are the same in every export"
)
tools = onnx.tools
family = onnx.family
options = onnx.options
run = _onnxruntime.run


def convert(source: Source, scheme: str, target: Path) -> None:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as reasons

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    # "Extended" fuses operators (QLinearConv, FusedConv) alike on every CPU; the level above lays tensors out for the
    # machine that converts (NCHWc). An .ort file is not optimized again on loading, so this is what runs.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    model = onnx.build(source, scheme)
    try:
        onnxruntime.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["ConstantFolding"],  # it would store the weights of float16 as float32
        )
    except (reasons.NotImplemented, reasons.InvalidGraph) as error:
        raise Unsupported(f"onnxruntime cannot write {scheme} in the ORT format: {error}") from error


def inspect(path: Path) -> Contents:
    return _onnxruntime.contents(path, read(path), widened="at every inference")


def read(path: Path) -> _onnxruntime.Graph:
    """Read the same graph as onnxruntime writes it into an .onnx file."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        options.add_session_config_entry("session.save_model_format", "ONNX")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return _onnxruntime.read(Path(options.optimized_model_filepath))
