"""From a PyTorch network to a .tflite file in each scheme."""

from collections.abc import Callable

import litert_torch
import torch
from torch.nn.utils import parametrize

from export import fine_tuning
from export.formats import _tflite_file, _tflite_quantizer
from export.formats._torch import fine_tune, one_thread, operators_listed_once
from export.source import Source
from models.frameworks import FRAMEWORKS


def convert(source: Source, scheme: str) -> bytes:
    """Return the file: [N,*input_shape] -> [N,K], N being the options' batch."""
    if scheme == "qat_int8":
        return _tflite_quantizer.quantize(_float32(source, fine_tuned(source)), "int8", source)
    if scheme == "int8_io":
        return _tflite_file.with_uint8_io(convert(source, "int8"))
    float32 = source.memo("tflite", lambda: _float32(source, source.network))
    if scheme == "float32":
        return float32
    return source.memo(f"tflite {scheme}", lambda: _tflite_quantizer.quantize(float32, scheme, source))


def _float32(source: Source, network: torch.nn.Module) -> bytes:
    with operators_listed_once():
        model = litert_torch.convert(network, (torch.zeros(source.batch, *source.input_shape),))
    return _tflite_file.tidied(model.model_content())


def fine_tuned(source: Source) -> torch.nn.Module:
    weights = fine_tuning.weights(source, __name__, lambda: FRAMEWORKS["torch"].weights(_trained(source)))
    return FRAMEWORKS["torch"].set_weights(source.fresh_network(), weights)


def _trained(source: Source) -> torch.nn.Module:
    """Return the network, trained on a little while its weights and activations are rounded to 8 bits.

    litert-torch's own PT2E quantizer would do this, but 0.10 does not start with torch 2.13: "Expected `mod` to be an
    instance of `torch.nn.Module`, got <class 'function'>".
    """
    network = source.fresh_network()
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    with one_thread():
        batches = [torch.from_numpy(images) for images in source.batches(source.calibration)]
        ranges = _input_ranges(network, layers, batches)
        hooks = [layer.register_forward_pre_hook(_rounded_input(*ranges[layer])) for layer in layers]
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", _RoundedWeight())
        fine_tune(network, source)
    for layer, hook in zip(layers, hooks, strict=True):
        hook.remove()
        parametrize.remove_parametrizations(layer, "weight")
    return network


def _input_ranges(
    network: torch.nn.Module, layers: list[torch.nn.Module], batches: list[torch.Tensor]
) -> dict[torch.nn.Module, tuple[float, float]]:
    """Return the smallest and largest input of each layer, zero included."""
    ranges = dict.fromkeys(layers, (0.0, 0.0))

    def note(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        low, high = ranges[layer]
        ranges[layer] = min(inputs[0].min().item(), low), max(inputs[0].max().item(), high)

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with torch.inference_mode():
        for images in batches:
            network(images)
    for hook in hooks:
        hook.remove()
    return ranges


def _rounded_input(low: float, high: float) -> Callable:
    scale = (high - low) / 255 or 1.0  # a layer that only ever saw zeros
    zero_point = round(-128 - low / scale)

    def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(inputs[0], scale, zero_point, -128, 127)

    return hook


class _RoundedWeight(torch.nn.Module):
    """The weight as int8 with one scale per output channel would hold it; gradients pass through."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = weight.detach().flatten(1).abs().amax(1) / 127
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero_point, 0, -127, 127)
