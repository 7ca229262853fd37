"""Loads a network that torch.export saved: as layers, in evaluation mode, and for any batch size if possible."""

import copy
import io
import zipfile

import torch
from torch import fx, nn

from models.frameworks import _layers

QUANTIZED = "it is quantized already; export it as it was before, and Edgewise quantizes it for each format"
aten, higher_order = torch.ops.aten, torch.ops.higher_order
FREE = 64  # the length that is tried for a side that may have any


def load(content: bytes) -> nn.Module:
    """Return the network of a .pt2 file's bytes, in evaluation mode and free of its guards.

    Layers that were exported in training mode compute as in evaluation. The attribute `input_shapes` holds each input's
    shape without the batch, None for a size that is free. Raises ValueError for what is no such file.
    """
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).infolist()
        if members[0].header_offset:
            raise ValueError("the end is that of an archive inside it")
    except Exception as error:  # a cut or damaged archive raises more than zipfile's own
        raise ValueError("it is no file of torch.export.save, or is cut off") from error
    if any(member.filename.endswith("/data.pkl") and member.filename.count("/") == 1 for member in members):
        msg = "it was written by torch.save; write it with torch.export.save(torch.export.export(network, (images,)), FILE)"
        raise ValueError(msg)
    try:
        program = torch.export.load(io.BytesIO(content))
    except Exception as error:  # zipfile's, json's, torch's own: whatever is raised, the file is at fault
        if b"quantized_decomposed" in content:
            raise ValueError(QUANTIZED) from error
        version = torch.__version__.partition("+")[0]
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        msg = f"PyTorch {version} cannot read it ({why}); if another version saved it, save it again with torch.export.save of {version}"
        raise ValueError(msg) from error
    return _layered(program)


def as_layers(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a network as `load` returns a saved one, or itself where torch.export cannot trace it on two images or one."""
    for example, shapes in ((images[:2], ({0: torch.export.Dim("batch")},)), (images[:1], None)):
        try:
            return _layered(torch.export.export(network, (example,), dynamic_shapes=shapes))
        except Exception:  # torch.export's own, or the network's: it stays as it is
            continue
    return network


def _layered(program: torch.export.ExportedProgram) -> fx.GraphModule:
    _check(program)
    original = _in_float32(program.module(check_guards=False))
    graph = _layers.of(original)
    names = program.graph_signature.user_inputs
    inputs = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    graph.input_shapes = tuple(
        tuple(size if isinstance(size, int) else None for size in node.meta["val"].shape[1:]) for node in inputs
    )
    _compare(original, graph, inputs)
    return _batch_freed(graph, inputs)


def _check(program: torch.export.ExportedProgram) -> None:
    """Raise ValueError for a program that is no network from one tensor of images to one of logits, in floats."""
    taken, named = program.call_spec.in_spec.children()
    if named.num_children or any(not spec.is_leaf() for spec in taken.children()):
        given = f"the keyword arguments {', '.join(named.context)}" if named.num_children else "other than tensors"
        raise ValueError(f"it takes {given}; export a network that takes one tensor of images: (images,)")
    if (returned := program.call_spec.out_spec.type) in (dict, list):
        raise ValueError(f"it returns a {returned.__name__}; export a network that returns one tensor of logits [N,K]")
    for node in program.graph.nodes:
        if node.target in (higher_order.cond, higher_order.while_loop):
            raise ValueError(f"it computes otherwise for other images ({node.target}), which artifacts do not")
        if "quantized_decomposed" in str(node.target):
            raise ValueError(QUANTIZED)
    images = {n.name: n.meta["val"] for n in program.graph.nodes if n.op == "placeholder"}
    for name in program.graph_signature.user_inputs:
        if not images[name].is_floating_point():
            dtype = str(images[name].dtype).removeprefix("torch.")
            raise ValueError(f"it takes {dtype}; export it for float32 images, as which it gets uint8 ones in 0..1")


def _in_float32(module: fx.GraphModule) -> fx.GraphModule:
    """Return a network of other floats, saved as such or trained in mixed precision, as one that computes in float32.

    Nothing is left to be cast, so that it becomes one in half precision as a whole.
    """

    def widened(value: object) -> object:
        return torch.float32 if value in (torch.float16, torch.bfloat16, torch.float64) else value

    _inline(module)
    for node in module.graph.nodes:
        node.args, node.kwargs = fx.node.map_aggregate((node.args, node.kwargs), widened)
        if node.target is aten._assert_tensor_metadata.default:  # that something has the type which it had
            module.graph.erase_node(node)
        elif node.target is aten.to.dtype and node.args[1] is torch.float32:
            taken = node.args[0].meta.get("val")
            if taken is not None and taken.is_floating_point():
                node.replace_all_uses_with(node.args[0])
                module.graph.erase_node(node)
    module.recompile()
    return module.float()


def _inline(module: fx.GraphModule) -> None:
    """Write out what was traced under torch.no_grad or torch.autocast, a graph of its own in which nothing finds layers."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target not in (higher_order.wrap_with_set_grad_enabled, higher_order.wrap_with_autocast):
            continue
        (at,) = (
            i
            for i, a in enumerate(node.args)
            if isinstance(a, fx.Node) and isinstance(getattr(module, str(a.target), None), fx.GraphModule)
        )
        inner = getattr(module, node.args[at].target).graph
        values = dict(zip(inner.find_nodes(op="placeholder"), node.args[at + 1 :], strict=True))
        with graph.inserting_before(node):
            results = graph.graph_copy(inner, values)
        for user in list(node.users):  # each takes one of the results
            user.replace_all_uses_with(results[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)


def _compare(original: fx.GraphModule, graph: fx.GraphModule, inputs: list[fx.Node]) -> None:
    """Raise ValueError if the layers give other logits than the program, unless that computes as in training."""
    if any(_layers.trains(node) for node in original.graph.nodes):
        return
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(_tried(node), generator=generator) for node in inputs]
    with torch.no_grad():
        expected, actual = original(*images), graph(*images)
    expected = expected[0] if isinstance(expected, list | tuple) else expected
    if not torch.allclose(actual, expected, atol=1e-5, rtol=1e-4):
        msg = "its operators cannot be taken for layers: the answers would be others. Please report this network"
        raise ValueError(msg)


def _tried(node: fx.Node) -> list[int]:
    """Return a shape for an input with a batch of 2 where it is free."""
    batch, *shape = node.meta["val"].shape
    return [batch if isinstance(batch, int) else 2, *(size if isinstance(size, int) else FREE for size in shape)]


def _batch_freed(graph: fx.GraphModule, inputs: list[fx.Node]) -> fx.GraphModule:
    """Return the network for any batch size if possible: shapes that contain the traced batch size become free.

    The result is tried on images. If its logits differ, the network of the traced batch size is returned.
    """
    if len(inputs) != 1 or not isinstance(batch := inputs[0].meta["val"].shape[0], int):
        return graph
    freed = copy.deepcopy(graph)
    for node in freed.graph.nodes:
        if node.target is torch.reshape and isinstance(node.args[1], list | tuple):
            sizes = list(node.args[1])
            if sizes and sizes[0] == batch and -1 not in sizes:
                node.args = (node.args[0], [-1, *sizes[1:]])
    freed.recompile()
    images = torch.rand(_tried(inputs[0]), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = graph(images)
        try:
            actual = freed(torch.cat([images, images.flip(-1), images]))
        except (RuntimeError, ValueError, IndexError):
            actual = expected
    if len(actual) == 3 * batch and torch.allclose(actual[-batch:], expected, atol=1e-5, rtol=1e-4):
        freed.input_shapes = graph.input_shapes
        return freed
    if batch != 1:
        msg = f"it takes {batch} images at once and no other number; export it with a batch of 1, or with torch.export.Dim for the batch"
        raise ValueError(msg)
    return graph
