"""The known silent failures of the toolchains, each as the numbers that it showed."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from export import judge
from export.contract import Contents, Layer, Tensor, tables
from export.judge import Defect
from export.schemes import SCHEMES
from models.common.errors import Unsupported
from models.profile import Layer as Product

EYE = np.eye(10, dtype=np.float32)


def contents(layers: tuple[Layer, ...] = (), constants: int = 0, parts: int = 10, tables: int = 0, **weights: int):
    """Return what a file with these numbers holds."""
    return Contents(weights=weights, layers=layers, constants=constants, tables=tables, parts=parts)


def layer(dtype: str, *shape: int, operator: str = "CONV_2D", quantizable: bool = True) -> Layer:
    return Layer(operator=operator, shape=shape, dtype=dtype, quantizable=quantizable)


@pytest.mark.parametrize("scheme", sorted(SCHEMES.keys() - {"float32"}))
def test_a_scheme_that_covers_nothing_is_a_defect(scheme):
    with pytest.raises(Unsupported, match=f"{scheme} covers nothing: .* 1,199,000 as float32"):
        judge.judge_weights(contents(float32=1_199_000), SCHEMES[scheme])


def test_one_convolution_left_in_float_is_a_defect_of_a_static_scheme_however_small_it_is():
    layers = (layer("int8", 128, 9216, operator="FULLY_CONNECTED"), layer("float32", 1, 3, 3, 32))
    held = contents(layers, int8=1_179_648, float32=288)
    with pytest.raises(Defect, match="int8 quantizes such layers, but these stayed wide: CONV_2D 1x3x3x32 float32"):
        judge.judge_weights(held, SCHEMES["int8"])
    judge.judge_weights(held, SCHEMES["dynamic_int8"])


def test_a_layer_that_the_static_toolchain_leaves_alone_is_noted_not_refused():
    layers = (layer("int8", 64, 64), layer("float32", 100, 64, operator="Gather", quantizable=False))
    held = contents(layers, int8=4_096, float32=6_400)
    judge.judge_weights(held, SCHEMES["int8"])
    note = "int8 covers 39.0% of the weights; not in int8: Gather 100x64 float32"
    assert judge.coverage(held, SCHEMES["int8"]) == (note,)
    assert judge.coverage(contents(int8=5), SCHEMES["int8"]) == ()


def test_where_a_file_does_not_tell_what_a_tensor_is_for_only_one_of_a_products_shape_is_a_layer_left_in_float():
    """A layer norm of three axes and a table of positions were taken for layers."""
    unnamed = (
        layer("int8", 32, 16, 3, 3),
        layer("float32", 32, 4, 4, operator=""),
        layer("float32", 9, 9, operator=""),
    )
    held = contents(unnamed, int8=4_608, float32=593)
    products = [Product(shape=(32, 16, 3, 3), macs=9)]
    judge.judge_weights(held, SCHEMES["int8"], products=products)
    with pytest.raises(Defect, match="stayed wide: 9x9 float32"):
        judge.judge_weights(held, SCHEMES["int8"], products=[*products, Product(shape=(9, 9), macs=1)])


def test_a_norms_factors_take_no_share_of_the_macs_and_a_depthwise_layers_do():
    products = [Product(shape=(8, 3, 1, 1), macs=30), Product(shape=(8, 1, 1, 1), macs=10)]
    layers = (layer("int8", 8, 1, 1, 3), layer("float32", 1, 1, 1, 16), layer("float32", 9, 9, operator=""))
    assert judge.share_of_macs(layers, "int8", products[:1]) == 1.0
    assert judge.share_of_macs((*layers, layer("float32", 1, 1, 1, 8)), "int8", products) == 0.75


def test_a_depthwise_network_deserves_dynamic_int8_and_the_note_gives_the_shares():
    layers = (layer("float32", 1, 3, 3, 32), layer("int8", 64, 1, 1, 32), layer("int8", 10, 64))
    held = contents(layers, int8=2_688, float32=288)
    judge.judge_weights(held, SCHEMES["dynamic_int8"], 2_976)
    macs = {(32, 1, 3, 3): 100, (64, 32, 1, 1): 890, (64, 10): 10}
    products = [Product(shape=shape, macs=n) for shape, n in macs.items()]
    (note,) = judge.coverage(held, SCHEMES["dynamic_int8"], products)
    assert note == "int8 covers 90.3% of the weights and 90.0% of the MACs; not in int8: CONV_2D 1x3x3x32 float32"
    assert "MACs" not in judge.coverage(held, SCHEMES["dynamic_int8"], products[:2])[0]  # not the file's layers
    steps = (layer("int8", 7, 1),) * 6  # of one layer, whose sixths come to more than it is
    assert judge.share_of_macs(steps, "int8", [Product(shape=(7, 1), macs=7)]) == 1.0


def test_a_file_without_some_or_all_of_the_networks_weights_is_a_defect():
    with pytest.raises(Defect, match="holds no weights"):
        judge.judge_weights(contents(), SCHEMES["float32"])
    with pytest.raises(Defect, match="the file holds 18,720 weights, the network 1,199,648"):
        judge.judge_weights(contents(int8=18_720), SCHEMES["int8"], 1_199_648)


EIGHT_BITS = contents(int8=1_199_648, constants=1_202_000)
SHARED = contents(float32=32_304, constants=95_412)  # in layers that share; 23,853 weights differ
UNROLLED = contents(
    float32=27_864, int8=1_344, constants=6_440
)  # a step's 1,158 weights in float, for each of 24 steps
SMALL = tuple(layer("int8", outputs, 1) for outputs in (10, 20, 50, 10))
MIXED = {"int4": 16_500, "int8": 5_250}
SIZES = {  # of a file, what it holds, the network's parameters (and distinct weights), and what is wrong with it
    "without its weights": (10_000, contents(float32=3_273_504), (3_274_634,), "the file has 10,000"),
    "not shrunk": (4_693_000, EIGHT_BITS, (1_199_882,), "the file has 4,693,000"),
    "shrunk": (1_210_000, EIGHT_BITS, (1_199_882,), ""),
    "int8 once": (33_750, contents(SMALL, 24_250, int8=21_750), (21_840,), ""),
    "int8 twice": (55_500, contents(SMALL, 46_000, int8=21_750), (21_840,), "bytes of tensors, the file stores"),
    "int8 once beside tables": (83_750, contents(SMALL, 74_250, tables=50_000, int8=21_750), (21_840,), ""),
    "int8 twice beside tables": (105_500, contents(SMALL, 96_000, tables=50_000, int8=21_750), (21_840,), "must store"),
    "int4 once": (25_500, contents(SMALL, 16_000, **MIXED), (21_840,), ""),
    "int4 twice": (39_000, contents(SMALL, 29_500, **MIXED), (21_840,), "bytes of tensors, the file stores"),
    "a graph larger than its weights": (33_784, contents((), 5_903, 26, int8=4_288), (4_618,), ""),  # in the ORT format
    "shared weights stored once": (96_500, SHARED, (24_000, 23_853), ""),
    "some weights stored": (96_500, SHARED, (24_000,), "must store"),
    "shared, the narrow ones distinct": (9_000, UNROLLED, (2_600, 2_502), ""),
    "shared, and some of them missing": (7_000, replace(UNROLLED, constants=4_000), (2_600, 2_502), "must store"),
}


@pytest.mark.parametrize("case", SIZES)
def test_a_file_has_the_size_of_the_weights_that_it_claims_and_a_graph(case):
    size, held, network, message = SIZES[case]
    with pytest.raises(Defect, match=message) if message else nullcontext():
        judge.judge_size(size, held, SCHEMES["float32" if "float32" in held.weights else "int8"], *network)


def test_tables_are_what_can_be_no_weights_no_copies_of_them_and_no_biases():
    layers = (layer("int8", 12, 8, 3, 3), layer("int8", 10, 108))
    weights = [("int8", (12, 8, 3, 3), 864), ("float32", (864, 1, 1, 1), 3_456), ("float32", (1_080,), 4_320)]
    biases = [("int32", (12,), 48), ("float32", (1, 8, 1, 1), 32)]
    indices = [("int64", (3, 6, 3, 6, 2), 5_184), ("bool", (3, 6), 18), ("int64", (), 8), ("int32", (3, 6), 72)]
    zeros = ("float32", (1, 12, 3, 6, 3, 6), 15_552)
    assert tables([*weights, *biases], layers) == 0
    assert tables([*weights, *biases, *indices, zeros], layers) == 5_184 + 18 + 8 + 72 + 15_552


RNG = np.random.default_rng(0)
OFF = EYE + RNG.choice([-0.4, 0.4], (10, 10)).astype(np.float32)
UNSURE = np.full((8, 12), 1 / 12, np.float32) + np.arange(12, dtype=np.float32) * 1e-7  # an untrained softmax
MANY_CLASSES = RNG.normal(size=(64, 300)).astype(np.float32)
ROUNDED = MANY_CLASSES + RNG.normal(scale=0.3, size=(64, 300)).astype(np.float32)
LOGITS = {  # of a file, of its source, in a scheme, and what is wrong with them
    "ten million though every answer agrees": (EYE * 1e7, EYE, "int8", r"differ by up to 1e\+07"),
    "flipped": (np.roll(EYE, 1, axis=1), EYE, "int8", "0.0% of the answers agree"),
    "not a number": (np.full((10, 10), np.nan), EYE, "float32", "not finite"),
    "another number of classes": (EYE[:, :9], EYE, "float32", "not finite"),
    "another number of images": (EYE[:9], EYE, "float32", "not finite"),
    "too far off": (OFF, EYE, "int8", "allowed 0.15, 0.15 of the source's span"),
    "as far off a larger span": (OFF + 99 * EYE, 100 * EYE, "int8", ""),
    "nearer than float32 can tell": (UNSURE + np.float32(7.5e-9), UNSURE, "float32", ""),
    "hardly different but too far off": (UNSURE + np.float32(1e-6), UNSURE, "float32", "allowed 1.59e-07"),
    "rounded": (ROUNDED, MANY_CLASSES, "int8", ""),
    "rounded in a scheme that does not round": (ROUNDED, MANY_CLASSES, "float16", "of the answers agree"),
    "of other images": (RNG.permutation(MANY_CLASSES), MANY_CLASSES, "int8", "of the answers agree"),
}


@pytest.mark.parametrize("case", LOGITS)
def test_logits_are_as_near_to_the_sources_as_the_scheme_allows(case):
    assert (ROUNDED.argmax(1) == MANY_CLASSES.argmax(1)).mean() < 0.6, "rounding costs many classes their predictions"
    logits, expected, scheme, message = LOGITS[case]
    with pytest.raises(Defect, match=message) if message else nullcontext():
        judge.judge_logits(logits, expected, SCHEMES[scheme])


def test_limits_of_the_zoo_in_logits():
    limits = {"float32": 6e-3, "float16": 0.6, "dynamic_int8": 2, "int8": 8, "int8_io": 8, "int16x8": 1.5, "int4": 5}
    limits |= {"qat_int8": 15, "palette6": 2, "palette4": 8}
    widest = 52.5  # of the first 64 test images' logits: torch_cnn_small
    assert limits.keys() == set(SCHEMES)
    assert all(SCHEMES[name].max_error * widest <= limit for name, limit in limits.items())


def test_grey_values_become_what_a_quantized_input_takes_and_back_but_are_never_reshaped():
    tensor = Tensor(name="image", shape=(1, 28, 28, 1), dtype="uint8", scale=1 / 255, zero_point=0)
    native = judge.to_native(np.full((2, 28, 28, 1), 1.0, np.float32), tensor)
    assert (native.shape, native.dtype, native.max()) == ((2, 28, 28, 1), np.uint8, 255)
    output = Tensor(name="logits", shape=(1, 10), dtype="uint8", scale=0.5, zero_point=128)
    assert judge.to_logits(np.array([[130, 126]], np.uint8), output).tolist() == [[1.0, -1.0]]
    signed = Tensor(name="image", shape=(1, 2), dtype="int8", scale=1 / 255, zero_point=-128)
    clipped = judge.to_native(np.array([[-1.0, 2.0]], np.float32), signed)
    assert clipped.tolist() == [[-128, 127]], "not wrapped"
    tensor = Tensor(name="image", shape=(1, 8, 8, 3), dtype="float32")
    with pytest.raises(judge.Defect, match=r"takes images of \(8, 8, 3\), the network of \(3, 8, 8\)"):
        judge.to_native(np.zeros((1, 3, 8, 8), np.float32), tensor)
