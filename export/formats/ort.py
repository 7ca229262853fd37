"""The ORT format: the graph as onnxruntime's builds for mobile apps load it, optimized beforehand."""

from pathlib import Path

from export.contract import Contents
from export.formats import _onnx_schemes, _onnxruntime
from export.source import Source
from models.common.errors import Unsupported

suffix = ".ort"
irreproducible = (
    "onnxruntime writes one table of the file (kernel_type_str_resolver) in the order of a hash map over addresses; "
    "graph and weights are the same in every export"
)
tools = _onnxruntime.tools
family = _onnxruntime.family
run = _onnxruntime.run
options = _onnx_schemes.options


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
    model = _onnx_schemes.build(source, scheme)
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
    return _onnxruntime.contents(path, _read(path), widened="at every inference")


def _read(path: Path) -> _onnxruntime.Graph:
    """Read the flatbuffer with the bindings that onnxruntime ships."""
    import onnx
    import onnxruntime.tools.ort_format_model  # noqa: F401  puts ort_flatbuffers_py on the path
    from ort_flatbuffers_py.fbs.AttributeType import AttributeType
    from ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    graph = InferenceSession.GetRootAs(path.read_bytes()).Model().Graph()
    tensors = {}
    for tensor in (graph.Initializers(i) for i in range(graph.InitializersLength())):
        # its numbers for dtypes are ONNX's
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.DataType()).name
        tensors[tensor.Name().decode()] = (dtype, tuple(tensor.Dims(i) for i in range(tensor.DimsLength())))
    nodes = []
    for node in (graph.Nodes(i) for i in range(graph.NodesLength())):
        attributes = (node.Attributes(i) for i in range(node.AttributesLength()))
        nodes.append(
            _onnxruntime.Node(
                operator=node.OpType().decode(),
                name=node.Name().decode(),
                inputs=tuple(node.Inputs(i).decode() for i in range(node.InputsLength())),
                outputs=tuple(node.Outputs(i).decode() for i in range(node.OutputsLength())),
                integers={a.Name().decode(): a.I() for a in attributes if a.Type() == AttributeType.INT},
            )
        )
    return _onnxruntime.Graph(tensors=tensors, nodes=tuple(nodes))
