"""The float network as one ONNX graph, in the same normal form from both frameworks: every scheme starts from it."""

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from export.formats import _onnxruntime
from export.formats._quiet import quiet
from export.source import Source
from models.common.errors import Unsupported
from models.frameworks import FRAMEWORKS
from models.own.settings import DYNAMIC

OPSET = 18  # the newest that both exporters write


def float32(source: Source) -> onnx.ModelProto:
    """Return the network: `image` [N,*input_shape] in 0..1 -> `logits` [N,K], a copy of the caller's own.

    N is any, or the options' batch; where nothing is said of it and a shape in the graph is written for one image, it is 1.
    """

    def make() -> bytes:
        exported = {"torch": _from_torch, "keras": _from_keras}[source.framework]
        model = exported(source, source.batch)
        if source.options.batch in (None, DYNAMIC):
            of_one = model.SerializeToString()
            if not _free_batch(model) or not _takes_several(model, source):
                model = exported(source, None) if source.is_dynamic else onnx.load_from_string(of_one)
                if source.is_dynamic:
                    _name_batch(model)
        _fold_paddings(model)
        _rename(model)
        return finish(model, source)

    return onnx.load_from_string(source.memo("onnx graph", make))


def finish(model: onnx.ModelProto, source: Source) -> bytes:
    """Check the model and return its bytes without anything of this machine or this run (paths, stack traces)."""
    graph = model.graph
    graph.name = source.model
    del graph.value_info[:]  # shapes between the nodes: whoever loads the file infers them
    del model.metadata_props[:]
    model.doc_string = graph.doc_string = ""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    for node in graph.node:
        _sort(node.attribute)
    _sort(graph.initializer)
    used = {node.domain for node in graph.node}
    versions = {entry.domain: entry.version for entry in model.opset_import if entry.domain in used}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in sorted(versions.items()))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _sort(field) -> None:
    entries = sorted(field, key=lambda entry: entry.name)
    del field[:]
    field.extend(entries)


def _from_torch(source: Source, batch: int | None) -> onnx.ModelProto:
    """Return the exporter's graph for so many images; None leaves it to the exporter to keep the batch free."""
    import torch

    # operators of a torchvision that is not there, a deprecation inside torch
    with quiet(r".*isinstance\(treespec, LeafSpec\)", loggers=("torch.onnx._internal.exporter._registration",)):
        traced = torch.export.export(
            source.network,
            (torch.zeros(batch or 2, *source.input_shape),),
            dynamic_shapes=None if batch else ({0: torch.export.Dim("batch")},),
            strict=False,
        )
        # what attention is decomposed into lies in memory otherwise than what was traced
        for node in traced.graph.find_nodes(op="call_function", target=torch.ops.aten.view.default):
            node.target = torch.ops.aten.reshape.default
        program = torch.onnx.export(
            traced,
            input_names=["image"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,  # folds constants and batch norms with onnxscript's optimizer
            verbose=False,
        )
    return program.model_proto


def _from_keras(source: Source, batch: int | None) -> onnx.ModelProto:
    import tensorflow as tf
    import tf2onnx

    network = source.network  # here: loaded while tf.function traces, it would never receive its trained weights
    signature = [tf.TensorSpec((batch, *source.input_shape), tf.float32, name="image")]
    serve = tf.function(lambda image: {"logits": FRAMEWORKS["keras"].call(network, image)}, input_signature=signature)
    handlers = {"Erfc": (_erfc, [])}  # which Keras' GELU is made of, and tf2onnx does not know
    model, _ = tf2onnx.convert.from_function(serve, input_signature=signature, opset=OPSET, custom_op_handlers=handlers)
    _store_constants(model, serve.get_concrete_function().graph.captures)
    unknown = sorted({n.op_type for n in model.graph.node if not onnx.defs.has(n.op_type, OPSET, n.domain)})
    if unknown:
        msg = f"tf2onnx leaves operators of TensorFlow's in the graph, for which ONNX has none: {', '.join(unknown)}"
        raise Unsupported(msg)
    return model


def _store_constants(model: onnx.ModelProto, captures: Any) -> None:
    """Store what tf2onnx leaves as inputs: constants that a layer holds outside of its variables, as Normalization does."""
    values = {inner.name: outer for outer, inner in captures}
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    for value in [value for value in graph.input if value.name in values]:
        graph.input.remove(value)
        if value.name in used:  # and not folded into another constant
            graph.initializer.append(numpy_helper.from_array(values[value.name].numpy(), value.name))


def _erfc(graph: Any, node: Any, name: str, _: Any) -> None:
    erf = graph.make_node("Erf", [node.input[0]]).output[0]
    one = graph.make_const(f"{name}_one", np.ones((), np.float32)).name
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node("Sub", [one, erf], name=name, outputs=node.output, shapes=shapes, dtypes=dtypes)


def _free_batch(model: onnx.ModelProto) -> bool:
    """Make the batch of 1 that was traced `N`; return False where an operator's shape is written for one image.

    Not left to the exporters: tf2onnx computes a dynamic batch with six nodes (Shape, Gather, ...), this costs none.
    """
    graph = model.graph
    freed: dict[str, onnx.TensorProto] = {}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Reshape", "Expand"):
            tensor = tensors.get(node.input[1])
            shape = [] if tensor is None else numpy_helper.to_array(tensor).copy()
            if node.op_type == "Expand" or len(shape) == 0 or shape[0] not in (0, 1, -1) or -1 in shape[1:]:
                return False  # attention, for one, folds heads into the batch
            shape[0] = -1
            freed[tensor.name] = numpy_helper.from_array(shape, tensor.name)
    _name_batch(model)
    for name, tensor in freed.items():
        tensors[name].CopyFrom(tensor)
    return True


def _takes_several(model: onnx.ModelProto, source: Source) -> bool:
    """Tell whether the graph answers three images at once as one by one: a constant may be of one image's shape."""
    images = source.input(source.sets[0].images[[0, -1, 0]])
    try:
        infer = partial(_onnxruntime.session(model.SerializeToString()).run, ["logits"])
        together, single = infer({"image": images})[0], [infer({"image": images[i : i + 1]})[0] for i in range(3)]
    except Exception:  # onnxruntime's own have no common class
        return False
    return together.shape == (3, source.classes) and np.allclose(together, np.concatenate(single), atol=1e-3, rtol=1e-3)


def _fold_paddings(model: onnx.ModelProto) -> None:
    """Let convolutions pad with zeros themselves where an operator does it for them: ncnn has no such operator."""
    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for pad in [node for node in graph.node if node.op_type == "Pad" and len(node.input) < 4]:
        users = [node for node in graph.node if pad.output[0] in node.input]
        if not users or not all(node.op_type == "Conv" and node.input[0] == pad.output[0] for node in users):
            continue
        given = [{attribute.name: attribute for attribute in node.attribute} for node in users]
        is_constant = all(attribute.s == b"constant" for attribute in pad.attribute)
        is_zero = len(pad.input) == 2 or not pad.input[2] or not values.get(pad.input[2], np.ones(1)).any()
        begin, end = np.split(values.get(pad.input[1], np.full(4, -1)), 2)
        computed = any("auto_pad" in attributes and attributes["auto_pad"].s != b"NOTSET" for attributes in given)
        if not is_constant or not is_zero or computed or min(*begin, *end) < 0 or any((*begin[:2], *end[:2])):
            continue
        for node, attributes in zip(users, given, strict=True):
            sizes = np.concatenate([begin[2:], end[2:]])
            if "pads" in attributes:
                sizes += attributes["pads"].ints
                node.attribute.remove(attributes["pads"])
            node.attribute.append(onnx.helper.make_attribute("pads", sizes.tolist()))
            node.input[0] = pad.input[0]
        graph.node.remove(pad)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _name_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"


def _rename(model: onnx.ModelProto) -> None:
    """Name nodes and tensors by their place: Keras numbers its layers by how many networks the process has made."""
    graph = model.graph
    names = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}  # "": an input left out
    tensors = {tensor.name for tensor in graph.initializer}
    seen: Counter[str] = Counter()
    for node in graph.node:
        seen[node.op_type] += 1
        node.name = f"{node.op_type.lower()}{seen[node.op_type]}"
        roles = onnx.defs.get_schema(node.op_type, OPSET, node.domain).inputs
        for i, name in enumerate(node.input):
            if name in tensors:
                role = roles[min(i, len(roles) - 1)].name  # the last one may stand for many: those of Concat
                names.setdefault(name, f"{node.name}.{role}" + (str(i) if i >= len(roles) else ""))
        for i, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}.{i}" if i else node.name)  # Split has several
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
