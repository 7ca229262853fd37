"""Shows the inside of OpenVINO's and ncnn's files; stands alone, for it runs in the engine's own environment.

`python _engine_graph.py ENGINE PATH` reads questions from stdin and writes a reply to each: a length of 8 bytes, and so
many bytes of an .npz file. A question holds `verb`, and for `values` and `forced` arrays named after tensors with `:`
before the name. A reply holds such arrays, or `json`, or `error`.
"""

import io
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np

ONE_THREAD = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
WEIGHTED = {"Convolution": 1, "GroupConvolution": 1, "ConvolutionBackpropData": 1, "MatMul": 1}
WIDENING = ("Convert", "Subtract", "Multiply", "Reshape", "Transpose", "FakeQuantize", "Slice", "StridedSlice")
PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")  # kinds of executed layers
NO_LAYERS = ("Input", "Output")
FUSED = 3  # most operators between a fused layer's product and its last operator


def main(engine, path):
    # Libraries print what they like to fd 1; only this program knows where the real one went.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    graph = None
    while head := sys.stdin.buffer.read(8):
        question = np.load(io.BytesIO(sys.stdin.buffer.read(*struct.unpack("<Q", head))))
        try:
            graph = graph or ENGINES[engine](Path(path))
            given = {name[1:]: question[name] for name in question.files if name[0] == ":"}
            answer = getattr(graph, str(question["verb"]))(given)
        except Exception as error:  # engines raise anything
            answer = {"error": np.array(f"{type(error).__name__}: {' '.join(str(error).split())}")}
        content = io.BytesIO()
        np.savez(content, **answer)
        replies.write(struct.pack("<Q", content.tell()) + content.getvalue())
        replies.flush()


class OpenVino:
    def __init__(self, path):
        import openvino

        self.openvino, self.core = openvino, openvino.Core()
        self.path = str(path / "model.xml" if path.is_dir() else path)
        self.compiled = {}  # by the names of the tensors that are given

    def _model(self):
        model = self.core.read_model(self.path)
        shape = model.inputs[0].partial_shape
        if shape.is_dynamic:
            shape[0] = 1
            model.reshape(shape)
        return model

    def _activations(self, model):
        """Return the outputs that depend on the image, by name, in the order of execution."""
        activations = {}
        for node in model.get_ordered_ops():
            if node.get_type_name() == "Parameter" or any(
                _name(value.get_source_output()) in activations for value in node.inputs()
            ):
                activations |= {_name(output): output for output in node.outputs()}
        return {name: output for name, output in activations.items() if output.get_node().get_type_name() != "Result"}

    def describe(self, _):
        """Return the operators as JSON, and the float weights [outputs, others] by the index of their operator."""
        model, nodes, weights = self._model(), [], {}
        names = self._activations(model)
        for node in model.get_ordered_ops():
            kind = node.get_type_name()
            taken = [_name(value.get_source_output()) for value in node.inputs()]
            if kind in ("Parameter", "Result") or not any(name in names for name in taken):
                continue
            count = 0
            if kind in WEIGHTED and taken[WEIGHTED[kind]] not in names:
                shape = tuple(node.input(WEIGHTED[kind]).get_shape())
                count = int(np.prod(shape))
                stored = _stored(node.input(WEIGHTED[kind]).get_source_output().get_node())
                if stored is not None and stored.get_element_type().get_type_name() == "f32":
                    weights[f":{len(nodes)}"] = _outputs_first(node, np.array(stored.get_data()).reshape(shape))
            least = _least(node) if kind == "FakeQuantize" else None
            outputs = [_name(output) for output in node.outputs()]
            inputs = [name for name in taken if name in names]
            nodes.append({"kind": kind, "least": least, "inputs": inputs, "outputs": outputs, "weights": count})
        output = _name(model.outputs[0].get_node().input(0).get_source_output())
        graph = {"nodes": nodes, "input": _name(model.inputs[0]), "output": output}
        return {"json": np.array(json.dumps(graph)), **weights}

    def values(self, given):
        """Compute every tensor; those that are `given` beside the image are the inputs of the operators that follow them."""
        key = frozenset(given)
        if key not in self.compiled:
            self.compiled[key] = self._compile(given)
        compiled, names = self.compiled[key]
        inputs = [given[value.get_node().get_friendly_name().removeprefix("given ")] for value in compiled.inputs]
        outputs = compiled(inputs)
        return {f":{name}": np.array(outputs[i]) for i, name in enumerate(names)}

    forced = values

    def _compile(self, given):
        """Return the model with every tensor as an output, and the outputs' names."""
        model = self._model()
        names, parameters = self._activations(model), list(model.get_parameters())
        for name in given.keys() - {_name(model.inputs[0])}:
            shape, kind = names[name].get_shape(), names[name].get_element_type()
            parameter = self.openvino.opset13.parameter(shape, kind, name="given " + name)
            for value in names[name].get_target_inputs():
                value.replace_source_output(parameter.output(0))
            parameters.append(parameter)
        results = [self.openvino.opset13.result(output) for output in names.values()]
        return self.core.compile_model(self.openvino.Model(results, parameters), "CPU", ONE_THREAD), list(names)

    def executed(self, _):
        """Return as JSON the layers that the CPU plugin executes."""
        model = self._model()
        operators = {node.get_friendly_name(): node for node in model.get_ops()}
        layers, constants = [], set()
        for node in self.core.compile_model(model, "CPU", ONE_THREAD).get_runtime_model().get_ordered_ops():
            info = {key: _text(value) for key, value in node.get_rt_info().items()}
            before = [value.get_source_output().get_node().get_friendly_name() for value in node.inputs()]
            if info["layerType"] == "Const" or (before and constants.issuperset(before)):
                constants.add(node.get_friendly_name())  # done once, when the file is compiled
                continue
            if info["layerType"] in NO_LAYERS:
                continue
            types = [value.get_element_type().get_type_name() for value in node.inputs()]
            layer = {"kind": info["layerType"], "kernel": info["primitiveType"], "takes": types[0] if types else ""}
            if info["layerType"] in PRODUCTS:
                layer |= _weight(operators, info["originalLayersNames"].split(","))
            layers.append(layer)
        return {"json": np.array(json.dumps(layers))}


def _text(value):
    return str(value.astype(str) if hasattr(value, "astype") else value)


def _name(output):
    name, place = output.get_node().get_friendly_name(), output.get_index()
    return f"{name}:{place}" if place else name


def _stored(node):
    """Return the constant that a weight is widened from, None where the operand is an activation."""
    while node.get_type_name() in WIDENING:
        node = node.input(0).get_source_output().get_node()
    return node if node.get_type_name() == "Constant" else None


def _weight(operators, names):
    """Return dtype and number of the weights of a layer fused of the named operators; nothing for two activations."""
    for name in (name.removesuffix("/DequantizationMultiply") for name in names):
        node = operators.get(name) or operators.get(f"{name}/WithoutBiases")  # the ONNX importer's name of the product
        for _ in range(FUSED):  # a layer may be named after a later operator only
            if node is None or node.get_type_name() in WEIGHTED or not node.inputs():
                break
            node = node.input(0).get_source_output().get_node()
        if node is not None and node.get_type_name() in WEIGHTED:
            operand = node.input(WEIGHTED[node.get_type_name()])
            constant = _stored(operand.get_source_output().get_node())
            if constant is not None:
                number = int(np.prod(tuple(operand.get_shape())))
                return {"stored": constant.get_element_type().get_type_name(), "weights": number}
    return {}


def _least(node):
    return float(np.min(np.array(_stored(node.input(1).get_source_output().get_node()).get_data())))


def _outputs_first(node, values):
    kind = node.get_type_name()
    if kind == "MatMul":
        return values if node.get_attributes().get("transpose_b") else np.moveaxis(values, -1, 0)
    if kind == "GroupConvolution":
        return values.reshape(-1, *values.shape[2:])
    return np.moveaxis(values, 1, 0) if kind == "ConvolutionBackpropData" else values


class Ncnn:
    """Its operators are read from the file by whoever asks."""

    def __init__(self, path):
        import ncnn

        self.ncnn, self.net = ncnn, ncnn.Net()
        options = self.net.opt
        options.num_threads, options.lightmode = 1, False  # else tensors are freed once they were read
        options.use_vulkan_compute = options.use_bf16_storage = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        if self.net.load_param(str(path / "model.ncnn.param")) or self.net.load_model(str(path / "model.ncnn.bin")):
            raise RuntimeError("ncnn does not load it")

    def values(self, given):
        """Run the file and return every tensor; `given` is the image."""
        extractor = self._extractor(given)
        return with_inputs(given, {name: self._extract(extractor, name) for name in self._names()})

    def forced(self, given):
        """Compute each tensor from the `given` ones before it."""
        computed = {}
        for name in self._names():
            extractor = self._extractor({other: value for other, value in given.items() if other != name})
            computed[name] = self._extract(extractor, name)
        return with_inputs({name: given[name] for name in self.net.input_names()}, computed)

    def _names(self):
        inputs = set(self.net.input_names())
        return [name for name in (blob.name for blob in self.net.blobs()) if name not in inputs]

    def _extractor(self, given):
        extractor = self.net.create_extractor()
        extractor.set_light_mode(False)
        for name, value in given.items():
            extractor.input(name, self.ncnn.Mat(np.ascontiguousarray(value, np.float32)).clone())
        return extractor

    def _extract(self, extractor, name):
        failed, value = extractor.extract(name)
        if failed:
            raise RuntimeError(f"ncnn gives no {name} ({failed})")
        return np.array(value, np.float32)


def with_inputs(given, computed):
    return {f":{name}": value for name, value in {**given, **computed}.items()}


ENGINES = {"openvino": OpenVino, "ncnn": Ncnn}

if __name__ == "__main__":
    main(*sys.argv[1:])
