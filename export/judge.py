"""Whether a converted file deserves its scheme's name: what silently stays float is a failure, not an artifact."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from export.contract import BITS, Contents, Layer, Tensor
from export.schemes import SCHEMES, Scheme
from models import profile
from models.common.errors import Unsupported
from models.similarity import ALIKE, correlation

WIDE = 1.01  # what counting in whole bytes may add

# Measured on every artifact of the zoo and on a depthwise network with batch norm and a residual (at most: 16 bytes per
# channel, in TorchScript, and 1,740 per operator, in the ORT format; int16x8 of TFLite takes 24 more per channel).
CHANNEL_BYTES = 20  # a tensor of scales and one of zero points
NOTED_CHANNEL_BYTES = 24  # the same once more, where the graph repeats them outside of its tensors
SCALARS_BYTES = 64  # constants, and scales of what passes for a bias
BLOCK_BYTES = 4  # a scale for a block of 4-bit weights
PART_BYTES, FILE_BYTES = 2_000, 4_000  # names, shapes and options of an operator; what a file begins and ends with
ROUNDINGS = 16  # of float32, that sums in another order may add to a logit


class Defect(Exception):
    """The conversion gave a file, but not the artifact that was asked for."""


def judge_weights(
    contents: Contents, scheme: Scheme, network_weights: int = 0, products: Sequence[profile.Layer] = ()
) -> None:
    """Raise Unsupported where the scheme covers nothing, Defect where its static toolchain left a layer wide.

    `network_weights` is the number of weights in the network's own layers, 0 where it is not known. `products` are these
    layers: where a format does not tell what a tensor is for, one of another shape is none of their weights.
    """
    total = sum(contents.weights.values())
    if not total:
        raise Defect("the file holds no weights")
    if total < 0.95 * network_weights:
        raise Defect(f"the file holds {total:,} weights, the network {network_weights:,}")
    if not contents.weights.get(scheme.weights):
        # the toolchain left all of it as it was: such a file under this name would deceive
        stored = f"no weight is stored as {scheme.weights}, but {_counts(contents)}"
        raise Unsupported(f"{scheme.name} covers nothing: {stored}")
    shapes = {_axes(product.shape) for product in products}
    named = [layer for layer in contents.layers if layer.operator or not shapes or _axes(layer.shape) in shapes]
    wide = [layer for layer in named if layer.quantizable and layer.dtype != scheme.weights]
    if wide and scheme.static and not scheme.options.keep_float:
        listed = ", ".join(f"{layer} {layer.dtype}" for layer in wide)
        raise Defect(f"{scheme.name} quantizes such layers, but these stayed wide: {listed}")


def _counts(contents: Contents) -> str:
    return ", ".join(f"{n:,} as {dtype}" for dtype, n in sorted(contents.weights.items()))


def coverage(contents: Contents, scheme: Scheme, products: Sequence[profile.Layer] = ()) -> tuple[str, ...]:
    """Return a note that gives the share of the weights in the scheme's dtype, and what stayed wide; none where all are.

    The note gives the share of the multiply-accumulates, too, where the layers of the file are the network's products.
    """
    total, narrow = sum(contents.weights.values()), contents.weights.get(scheme.weights, 0)
    if narrow == total:
        return ()
    note = f"{scheme.weights} covers {narrow / total:.1%} of the weights"
    if (share := share_of_macs(contents.layers, scheme.weights, products)) is not None:
        note += f" and {share:.1%} of the MACs"
    wide = ", ".join(f"{layer} {layer.dtype}" for layer in contents.layers if layer.dtype != scheme.weights)
    return (f"{note}; not in {scheme.weights}: {wide or _counts(contents)}",)


def share_of_macs(layers: Sequence[Layer], dtype: str, products: Sequence[profile.Layer]) -> float | None:
    """Return the share of the MACs in layers of a dtype, None where the file's layers are not the network's products.

    They are matched by their shape, whatever the order of its axes; layers of one shape share their MACs equally.
    """
    costs, users = Counter(), Counter()
    for product in (p for p in products if p.shape):
        costs[_axes(product.shape)] += product.macs
    for layer, axes in ((layer, _axes(layer.shape)) for layer in layers):
        # a factor per channel is a norm's, which has no products; so may be what a format has no operator's name for
        if axes in costs or (layer.operator and len(axes) > 1):
            users[axes] += 1
    if not layers or users.keys() != costs.keys():
        return None
    narrow = sum(
        costs[a] / users[a] for a in (_axes(layer.shape) for layer in layers if layer.dtype == dtype) if a in users
    )
    return min(narrow / costs.total(), 1.0)  # a sum of shares may be a rounding above all of them


def _axes(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(n for n in shape if n > 1))


def judge_size(size_bytes: int, contents: Contents, scheme: Scheme, parameters: int, distinct: int = 0) -> None:
    """Raise Defect where a file cannot hold the weights that it claims, or holds more than these and their graph.

    `distinct` is the number of the network's weights without those that equal others, which files may store once; 0
    where it is not known.
    """
    weights = sum(n * BITS[dtype] / 8 for dtype, n in contents.weights.items())
    least = _least_bytes(contents, 0.95 * distinct) if distinct else weights
    others = 8 * max(parameters - sum(contents.weights.values()), 0)  # biases and norms
    channels = sum(layer.outputs for layer in contents.layers)
    blocks = contents.weights.get("int4", 0) / (scheme.in_force.block or SCHEMES.defaults.block) * BLOCK_BYTES
    tensors = (weights + others + blocks) * WIDE + CHANNEL_BYTES * channels + SCALARS_BYTES
    most = tensors + contents.tables + NOTED_CHANNEL_BYTES * channels + PART_BYTES * contents.parts + FILE_BYTES
    claim = f"{scheme.name} with {_counts(contents)}"
    if contents.constants and not least <= contents.constants <= tensors + contents.tables:
        msg = f"{claim} must store {least:,.0f} to {tensors:,.0f} bytes of tensors, the file stores {contents.constants:,}"
        raise Defect(f"{msg}, {contents.tables:,} of them in tables" if contents.tables else msg)
    if not least <= size_bytes <= most:
        raise Defect(f"{claim} must take {least:,.0f} to {most:,.0f} bytes, the file has {size_bytes:,}")


def _least_bytes(contents: Contents, distinct: float) -> float:
    """Return how many bytes so many weights take at the least, if the narrowest are the distinct ones."""
    least = 0.0
    for dtype, n in sorted(contents.weights.items(), key=lambda entry: BITS[entry[0]]):
        least += min(n, distinct) * BITS[dtype] / 8
        distinct -= min(n, distinct)
    return least


def judge_logits(logits: np.ndarray, expected: np.ndarray, scheme: Scheme) -> None:
    """Raise Defect where logits [N,K] are not finite or too far from the float source's [N,K].

    A network of many classes, or one that is unsure, loses many predictions to rounding: where its logits still rise and
    fall with the source's, that is what the scheme costs it, and no defect of the file.
    """
    if logits.shape != expected.shape or not np.isfinite(logits).all():
        raise Defect(f"the answers have shape {logits.shape} (expected {expected.shape}) or are not finite")
    error, span = float(np.abs(logits - expected).max()), float(np.ptp(expected))
    agree = float((logits.argmax(1) == expected.argmax(1)).mean())
    # logits that hardly differ from each other, as untrained networks have, cannot be nearer than float32 can tell
    rounding = ROUNDINGS * float(np.finfo(np.float32).eps * np.abs(expected).max())
    allowed = max(scheme.max_error * span, rounding)
    far = error > allowed or agree < scheme.min_agree
    if error > max(span, rounding) or (
        far and (scheme.weights.startswith("float") or correlation(logits, expected) < ALIKE)
    ):
        raise Defect(
            f"on {len(logits)} images the logits differ by up to {error:.3g} (allowed {allowed:.3g}, "
            f"{scheme.max_error:g} of the source's span) "
            f"and {agree:.1%} of the answers agree (required {scheme.min_agree:.0%})"
        )


def to_native(images: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return the network's input, float32 [N,*input_shape], as the artifact takes it; raises Defect for another shape."""
    if images.shape[1:] != tensor.shape[1:]:
        raise Defect(f"the file takes images of {tensor.shape[1:]}, the network of {images.shape[1:]}")
    if tensor.scale is None:
        return images.astype(tensor.dtype)
    bounds = np.iinfo(tensor.dtype)
    return np.clip(np.rint(images / tensor.scale) + tensor.zero_point, bounds.min, bounds.max).astype(tensor.dtype)


def to_logits(native: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return the artifact's output [N,K] as float32 logits."""
    if tensor.scale is None:
        return native.astype(np.float32)
    return ((native.astype(np.float32) - tensor.zero_point) * tensor.scale).astype(np.float32)
