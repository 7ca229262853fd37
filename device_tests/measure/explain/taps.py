"""What the layers with weights give inside an artifact, by the tool of each ecosystem: arrays with channels last.

Each takes the artifact, its file and native images [N,...].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from device_tests.measure.explain import tflite as tflite_receipt
from device_tests.measure.explain.source import channels_last
from export.artifact import Artifact

Tap = Callable[[Artifact, Path, np.ndarray], list[np.ndarray]]


def tflite(artifact: Artifact, file: Path, images: np.ndarray) -> list[np.ndarray]:
    """Run LiteRT on the graph cut after each layer, for a delegate shows only its ends.

    Keeping all tensors instead would take the interpreter's own kernels, which compute some layers otherwise.
    """
    from ai_edge_litert.interpreter import Interpreter

    kept = []
    for _, cut in cuts(file.read_bytes()):
        interpreter = Interpreter(model_content=cut, num_threads=1)
        interpreter.allocate_tensors()
        (image,), (layer,) = interpreter.get_input_details(), interpreter.get_output_details()
        answers = []
        for j in range(len(images)):
            interpreter.set_tensor(image["index"], images[j : j + 1])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(layer["index"]))
        scale, zero_point = layer["quantization"]
        answer = np.concatenate(answers).astype(np.float32)
        kept.append((answer - zero_point) * scale if scale else answer)
    return kept


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a .tflite file cut after each layer with weights: the layer's operator, and what gives its output alone."""
    from ai_edge_litert.tools import flatbuffer_utils

    from export.formats import _tflite_file

    for i in range(len(_tflite_file.parse(content).subgraphs[0].operators)):
        model = _tflite_file.parse(content)
        graph = model.subgraphs[0]
        name = flatbuffer_utils.opcode_to_name(model, graph.operators[i].opcodeIndex)
        if name in tflite_receipt.WEIGHTED:
            graph.operators = graph.operators[: i + 1]
            graph.outputs = graph.operators[-1].outputs
            model.signatureDefs = []
            yield name, _tflite_file._serialized(model)


def onnx(artifact: Artifact, file: Path, images: np.ndarray) -> list[np.ndarray]:
    """Run onnxruntime on the graph with every layer as a further output, taken after its rounding to 8 bits.

    onnxruntime.quantization.qdq_loss_debug does the same, but loses what follows MatMulNBits.
    """
    import onnx
    import onnxruntime

    model = onnx.load(file)
    weighted = ("Conv", "Gemm", "MatMul", "MatMulNBits", "MatMulInteger", "DynamicQuantizeMatMul")
    takers = {name: node for node in model.graph.node for name in node.input}
    names = [_settled(node.output[0], takers) for node in model.graph.node if node.op_type in weighted]
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [channels_last(layer) for layer in session.run(names, {"image": images})]


def _settled(name: str, takers: dict[str, Any]) -> str:
    """Return the name of a layer's output after its bias and its rounding to 8 bits, where they are nodes of their own."""
    while name in takers and takers[name].op_type in ("Add", "Cast", "Mul", "QuantizeLinear", "DequantizeLinear"):
        name = takers[name].output[0]
    return name


def executorch(artifact: Artifact, file: Path, images: np.ndarray) -> list[np.ndarray]:
    """Interpret the exported program that was lowered: the delegate's inside cannot be seen, this is what it was given."""
    import torch

    from export.formats import _pt2e
    from export.source import Source

    program = _pt2e.export(Source(artifact.model, artifact.dataset["name"]), artifact.scheme)
    layers = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)

    class Keeping(torch.fx.Interpreter):
        def run_node(self, node: Any) -> Any:
            value = super().run_node(node)
            if node.target in layers:
                kept.setdefault(node.name, []).append(value.float().numpy())
            return value

    kept: dict[str, list[np.ndarray]] = {}
    module = program.module()
    with torch.no_grad():
        for i in range(len(images)):
            Keeping(module).run(torch.from_numpy(images[i : i + 1]))
    return [channels_last(np.concatenate(answers)) for answers in kept.values()]


def torchscript(artifact: Artifact, file: Path, images: np.ndarray) -> list[np.ndarray]:
    """Run the file's own graph with its layers' values as further outputs."""
    import torch

    from export.formats import _torchscript

    weighted = ("aten::_convolution", "aten::linear", "quantized::linear_dynamic", "quantized::linear",
                "quantized::linear_relu", "quantized::conv2d", "quantized::conv2d_relu")  # fmt: skip
    with _torchscript.quiet():
        graph = torch.jit.freeze(torch.jit.load(file).eval()).graph.copy()
        graph.eraseInput(0)
        graph.eraseOutput(0)
        values = [node.output() for node in graph.nodes() if node.kind() in weighted]
        several = graph.insertNode(graph.create("prim::TupleConstruct", values, 1)).output()
        several.setType(torch._C.TupleType([value.type() for value in values]))
        graph.registerOutput(several)
        function = torch._C._create_function_from_graph("forward", graph)
        kept = [function(torch.from_numpy(images[i : i + 1])) for i in range(len(images))]
    return [
        channels_last(np.concatenate([(v.dequantize() if v.is_quantized else v).detach().numpy() for v in layer]))
        for layer in zip(*kept, strict=True)
    ]


TAPS: dict[str, tuple[str, Tap]] = {
    "tflite": ("LiteRT on the graph cut after each layer", tflite),
    "onnx": ("onnxruntime, with the layers as outputs", onnx),
    "executorch": ("torch.fx on the quantized program that was lowered", executorch),
    "executorch_portable": ("torch.fx on the program that was lowered", executorch),
    "torchscript": ("the file's own graph, its layers made outputs", torchscript),
}

_BARE = "this is the float source itself: there is no error to find"
REFUSALS = {
    "ort": "onnxruntime's debugging API takes ONNX models only; this file was made from the .onnx of the same scheme: "
    "explain that one",
    "torchscript_lite": "the lite interpreter shows no values between the operators; the .pt of the same scheme holds "
    "the same graph: explain that one",
    "eager": _BARE,
    "savedmodel": _BARE,
}
