"""How a PyTorch network becomes the exported program, in each scheme, that ExecuTorch lowers."""

import dataclasses
from typing import Any

import numpy as np
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from torchao.quantization.granularity import PerGroup
from torchao.quantization.pt2e import MinMaxObserver, move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.quantization.quant_api import Int8DynamicActivationIntxWeightConfig, quantize_

from export import fine_tuning, phases
from export.formats._torch import fine_tune, one_thread, unrolled
from export.source import Source
from models.common.errors import Unsupported

aten = torch.ops.aten
_GROUP = 32  # weights that may share a scale in 4-bit: the smallest number that XNNPACK's kernels take
_CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)
MOST = 64  # images that a file for any batch takes: its memory is planned for so many


def export(source: Source, scheme: str) -> Any:
    """Return the ExportedProgram: float32 [N,*input_shape] -> float32 [N,K], computed as `scheme` says."""
    make = {
        "float32": lambda: _whole(source.network),
        "float16": lambda: _whole(source.fresh_network().half(), is_half=True),
        "dynamic_int8": lambda: _int8(source, is_dynamic=True),
        "int8": lambda: _int8(source, is_dynamic=False),
        "int4": lambda: _int4(source),
        "qat_int8": lambda: _qat_int8(source),
    }[scheme]
    with one_thread():
        image = torch.zeros(2 if source.is_dynamic else source.batch, *source.input_shape)
        shapes = ({0: torch.export.Dim("batch", max=MOST)},) if source.is_dynamic else None
        return torch.export.export(make(), (image,), dynamic_shapes=shapes)


def _whole(network: Any, *, is_half: bool = False) -> Any:
    """Return the network, or one in half precision, inside a module from float32 to float32.

    Layers of a Sequential are named by numbers. ExecuTorch 1.4 folds a batch norm into the layer `1` and fails:
    "ValueError: '1_weight_fused_bn' is not in list".
    """

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.network(image.half()).float() if is_half else self.network(image)

    return Whole().eval()


def _graph(source: Source, network: Any, *, is_dynamic: bool = False) -> Any:
    """Return the network as a graph, for any batch where it takes any, in evaluation mode, that quantization may change."""
    # a batch of 1 would be taken for fixed
    images = torch.from_numpy(np.repeat(source.calibration[:1], 2 if source.any_batch else 1, axis=0))
    shapes = ({0: torch.export.Dim("batch")},) if source.any_batch else None
    program = torch.export.export(network, (images,), dynamic_shapes=shapes)
    graph = _unshared(unrolled(program).module())  # else the quantizer would not see the dense layers of recurrent ones
    return _with_own_inputs(graph, {aten.batch_norm.default, *(_CONVOLUTIONS if is_dynamic else ())})


def _unshared(graph: Any) -> Any:
    """Give each layer weights of its own: where two convolutions share theirs, XNNPACK's quantizer leaves both in float."""
    parameters = dict(graph.named_parameters())
    layers = (*_CONVOLUTIONS, aten.conv_transpose2d.input, aten.linear.default)
    for held in [n for n in graph.graph.nodes if n.op == "get_attr" and n.target in parameters]:
        for i, user in enumerate([user for user in held.users if user.target in layers][1:]):
            name = f"{held.target.replace('.', '_')}_own{i}"
            graph.register_parameter(name, torch.nn.Parameter(parameters[held.target].detach().clone()))
            with graph.graph.inserting_before(user):
                own = graph.graph.get_attr(name)
            own.meta = dict(held.meta)
            user.replace_input_with(held, own)
    graph.recompile()
    return graph


def _with_own_inputs(graph: Any, layers: set[Any]) -> Any:
    """Copy what such a layer takes if others take it, too; nothing of the copy is left in the file.

    Else torchao folds a batch norm into the convolution before it, and the others get its output. With dynamic ranges
    ExecuTorch lays out the channels of what two convolutions take for one of them. Either gives wrong logits.
    """
    for layer in [n for n in graph.graph.nodes if n.target in layers and len(n.args[0].users) > 1]:
        with graph.graph.inserting_before(layer):
            own = graph.graph.call_function(aten.clone.default, (layer.args[0],))
        own.meta = dict(layer.args[0].meta)
        layer.update_arg(0, own)
    graph.recompile()
    return graph


def _config(source: Source, **options: bool) -> Any:
    """Return XNNPACK's configuration with the options' ranges; its HistogramObserver seeks the least square error."""
    chosen = source.options
    if chosen.calibration == "percentile":
        raise Unsupported("torchao's observers calibrate by mse or minmax, not by percentiles")
    config = get_symmetric_quantization_config(is_per_channel=chosen.granularity != "per_tensor", **options)
    changes = {"qscheme": torch.per_tensor_symmetric} if chosen.symmetric else {}
    if chosen.calibration == "minmax":
        changes["observer_or_fake_quant_ctr"] = MinMaxObserver.with_args(eps=2**-12)
    if not changes:
        return config
    activations = dataclasses.replace(config.input_activation, **changes)
    return dataclasses.replace(config, input_activation=activations, output_activation=activations)


class _Quantizer(XNNPACKQuantizer):
    """Looks for batch norms where there are some: it traces six networks to find them, for over a second."""

    def annotate(self, model: Any) -> Any:
        if not any("batch_norm" in str(node.target) for node in model.graph.nodes):
            self.SUPPORTED_PATTERNS = [p for p in self.SUPPORTED_PATTERNS if "_bn" not in p.name]
        return super().annotate(model)


def _quantize(source: Source, network: Any, quantizer: Any, *, is_dynamic: bool) -> Any:
    """Return the network quantized after training, its ranges those of the calibration images."""
    prepared = prepare_pt2e(_graph(source, network, is_dynamic=is_dynamic), quantizer)
    with torch.no_grad(), phases.phase(phases.CALIBRATE):
        for images in source.batches(source.calibration):
            prepared(torch.from_numpy(images))
    return convert_pt2e(prepared)


def _int8(source: Source, *, is_dynamic: bool) -> Any:
    quantizer = _Quantizer().set_global(_config(source, is_dynamic=is_dynamic))
    return _quantize(source, source.fresh_network(), quantizer, is_dynamic=is_dynamic)


def _int4(source: Source) -> Any:
    """Quantize dense layers to 4-bit weights, save those whose inputs make no whole groups, and convolutions to 8-bit.

    XNNPACK's quantizer leaves in float a convolution that a ReLU follows: it has no such pattern for dynamic ranges.
    """
    group = source.options.block
    if group % _GROUP:
        raise Unsupported(f"XNNPACK has no blocks of {group} weights; it takes multiples of {_GROUP}")
    network = source.fresh_network()
    config = Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(group))
    quantize_(network, config, lambda layer, _: isinstance(layer, torch.nn.Linear) and layer.in_features % group == 0)
    convolutions = _Quantizer().set_operator_type(aten.conv2d.default, _config(source, is_dynamic=True))
    return _quantize(source, network, convolutions, is_dynamic=True)


def _qat_int8(source: Source) -> Any:
    """Fine-tune without dropout: torchao's move to evaluation mode leaves nn.Dropout2d dropping."""
    quantizer = _Quantizer().set_global(_config(source, is_qat=True))
    prepared = prepare_qat_pt2e(_graph(source, source.fresh_network()), quantizer)
    for node in prepared.graph.nodes:
        if node.target is aten.batch_norm.default:  # which would take its means from a few batches
            node.update_arg(5, False)
    prepared.recompile()

    def trained() -> dict[str, np.ndarray]:
        fine_tune(prepared, source)
        return {name: value.detach().numpy().copy() for name, value in prepared.state_dict().items()}

    weights = fine_tuning.weights(source, __name__, trained)  # with the ranges that it saw
    state = prepared.state_dict()  # which tells the observers' version: without it they would take another epsilon
    state.update({name: torch.from_numpy(value) for name, value in weights.items()})
    prepared.load_state_dict(state)
    move_exported_model_to_eval(prepared)
    return convert_pt2e(prepared)
