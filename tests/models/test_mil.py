"""The evaluator of Core ML's programs: each operator against what its definition says, computed another way."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import correlate2d

from models import mil
from models.common.errors import Unsupported

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


IMAGE = normal(1, 4, 7, 6)


def slowly(x, weight, *, strides, dilations, groups, pad):
    """Return a convolution channel by channel, with SciPy."""
    channels = np.pad(x[0], ((0, 0), *pad))
    outputs, per_group, height, width = weight.shape
    spread = np.zeros((outputs, per_group, (height - 1) * dilations[0] + 1, (width - 1) * dilations[1] + 1))
    spread[..., :: dilations[0], :: dilations[1]] = weight
    result = []
    for output, kernels in enumerate(spread):
        own = channels[output // (outputs // groups) * per_group :]
        result.append(sum(correlate2d(image, kernel, "valid") for image, kernel in zip(own, kernels, strict=False)))
    return np.array(result)[None, :, :: strides[0], :: strides[1]]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
@pytest.mark.parametrize("dilations", [(1, 1), (1, 2)])
@pytest.mark.parametrize("pad", [((0, 0), (0, 0)), ((1, 0), (2, 1))], ids=["valid", "custom"])
def test_a_convolution_is_the_sum_of_its_products(groups, strides, dilations, pad):
    weight, bias = normal(8, 4 // groups, 3, 2), normal(8)
    steps = {"strides": strides, "dilations": dilations, "groups": groups}
    padding = {"pad_type": "custom" if any(pad[0]) else "valid", "pad": [*pad[0], *pad[1]]}
    got = mil.OPERATORS["conv"]({"x": IMAGE, "weight": weight, "bias": bias} | steps | padding)
    want = slowly(IMAGE, weight, **steps, pad=pad) + bias.reshape(1, -1, 1, 1)
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(("kind", "before"), [("same", (0, 0)), ("same_lower", (1, 1))])
def test_same_padding_puts_the_odd_one_after_or_before(kind, before):
    image = np.zeros((1, 1, 4, 4), np.float32)
    image[0, 0, 0, 0] = 1
    weight = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    got = mil.OPERATORS["conv"]({"x": image, "weight": weight, "pad_type": kind, "strides": (1, 1)})
    assert got.shape == image.shape
    assert got[0, 0, 0, 0] == weight[0, 0, before[0], before[1]]


def test_a_pool_takes_the_largest_and_an_average_may_leave_out_the_padding():
    given = {"x": IMAGE, "kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "custom", "pad": [0, 1, 0, 0]}
    largest = mil.OPERATORS["max_pool"](given)
    assert largest.shape == (1, 4, 4, 3)
    assert largest[0, 1, 0, 0] == IMAGE[0, 1, :2, :2].max()
    assert largest[0, 1, 3, 0] == IMAGE[0, 1, 6, :2].max()  # not the zero beside it
    with_padding, without = (mil.OPERATORS["avg_pool"](given | {"exclude_padding_from_average": x}) for x in (0, 1))
    assert without[0, 0, 3, 0] == pytest.approx(IMAGE[0, 0, 6, :2].mean())
    assert with_padding[0, 0, 3, 0] == pytest.approx(IMAGE[0, 0, 6, :2].sum() / 4)
    given["pad_type"] = "valid"
    shapes = [mil.OPERATORS["max_pool"](given | {"ceil_mode": ceiling}).shape for ceiling in (True, False)]
    assert shapes == [(1, 4, 4, 3), (1, 4, 3, 3)], "a ceiling adds a window that is only partly there"


def test_norms_scale_and_shift():
    mean, variance, gamma, beta = RNG.uniform(0.5, 2, size=(4, 4)).astype(np.float32)
    given = {"x": IMAGE, "mean": mean, "variance": variance, "gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}
    got = mil.OPERATORS["batch_norm"](given)
    want = (IMAGE[0, 2] - mean[2]) / np.sqrt(variance[2] + 1e-3) * gamma[2] + beta[2]
    np.testing.assert_allclose(got[0, 2], want, rtol=1e-5, atol=1e-5)  # near zero a difference of floats loses digits
    row = normal(1, 3, 4)
    got = mil.OPERATORS["layer_norm"]({"x": row, "axes": [-1], "gamma": gamma, "beta": beta, "epsilon": np.float32(0)})
    want = (row - row.mean(-1, keepdims=True)) / row.std(-1, keepdims=True) * gamma + beta
    np.testing.assert_allclose(got, want, rtol=1e-4)


def step(kind: str, results: dict[str, tuple], dtype=np.float32, **constants) -> mil._Step:
    """Return a step of the variable `x`, the image, with results of these names and shapes."""
    stated = tuple((name, dtype, shape) for name, shape in results.items())
    return mil._Step(kind=kind, constants=constants, variables={"x": "image"}, results=stated)


def test_a_step_rounds_to_the_type_that_the_program_states_and_names_results_and_refuses_other_shapes_and_inputs():
    image = {"image": np.ones(1, np.float16)}
    got = step("add", {"sum": (1,)}, np.float16, y=np.float32(1e-4)).run(image)["sum"]
    assert (got.dtype, got[0]) == (np.float16, 1)  # 1.0001 is no half
    with pytest.raises(ValueError, match="shape"):
        step("add", {"sum": (2,)}, np.float16, y=np.float32(1e-4)).run(image)
    halves = {"first": (1, 3, 7, 6), "rest": (1, 1, 7, 6)}
    got = step("split", halves, axis=1, split_sizes=[3, 1]).run({"image": IMAGE})
    np.testing.assert_array_equal(got["first"], IMAGE[:, :3])
    np.testing.assert_array_equal(got["rest"], IMAGE[:, 3:])
    with pytest.raises(Unsupported, match="no operator 'relu' with beyond"):
        step("relu", {"y": IMAGE.shape}, beyond=6).run({"image": IMAGE})


def test_a_transposed_convolution_is_the_convolution_of_the_image_with_zeros_between():
    weight = normal(4, 3, 3, 2)
    padding = {"pad_type": "custom", "pad": [1, 0, 0, 1]}
    got = mil.OPERATORS["conv_transpose"]({"x": IMAGE, "weight": weight, "strides": (2, 1)} | padding)
    spread = np.zeros((1, 4, 13, 6), np.float32)
    spread[:, :, ::2] = IMAGE
    whole = {"strides": (1, 1), "dilations": (1, 1), "groups": 1, "pad": ((2, 2), (1, 1))}
    want = slowly(spread, np.moveaxis(weight[..., ::-1, ::-1], 0, 1), **whole)
    np.testing.assert_allclose(got, want[:, :, 1:, :-1], atol=1e-5)


@pytest.mark.parametrize(
    ("there", "back"), [("pixel_shuffle", "pixel_unshuffle"), ("depth_to_space", "space_to_depth")]
)
def test_what_goes_into_space_comes_back(there, back):
    larger = mil.OPERATORS[there]({"x": IMAGE, "upscale_factor": 2, "block_size": 2})
    assert larger.shape == (1, 1, 14, 12)
    assert set(larger[0, 0, :2, :2].ravel()) == set(IMAGE[0, :, 0, 0])
    np.testing.assert_array_equal(mil.OPERATORS[back]({"x": larger, "downscale_factor": 2, "block_size": 2}), IMAGE)


X, Y = normal(2, 3), normal(5, 3)
TOKENS = {name: normal(1, 2, 5, 4) for name in ("query", "key", "value")}
ALONE = {"attn_mask": np.eye(5, dtype=bool)}  # each token sees itself alone
PLACES = {"begin": [0, 1, 0, 2], "end": [0, 3, 5, 0], "stride": [1, 1, 2, 1]}
MASKS = {name: [True, False, False, False] for name in ("begin_mask", "end_mask")}
TAKEN_OUT = {"squeeze_mask": [False, False, False, True]}


@pytest.mark.parametrize(
    ("operator", "given", "want"),
    [
        ("matmul", {"x": X, "y": Y, "transpose_y": True}, X @ Y.T),
        ("softmax", {"x": X + 1_000, "axis": -1}, np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
        ("concat", {"values": [X, -X], "axis": 1, "interleave": True}, np.stack([X, -X], 2).reshape(2, 6)),
        ("slice_by_index", {"x": IMAGE} | PLACES | MASKS | TAKEN_OUT, IMAGE[:, 1:3, 0:5:2, 2]),
        ("reduce_log_sum_exp", {"x": X + 1_000, "axes": [1], "keep_dims": False}, 1_000 + np.log(np.exp(X).sum(1))),
        ("logical_and", {"x": X > 0, "y": X < 1}, (X > 0) * (X < 1)),
        ("logical_not", {"x": X > 0}, X <= 0),
        ("squeeze", {"x": X[None, :, None]}, X),
        ("squeeze", {"x": X[None, :, None], "axes": [-2, 1]}, X[None]),  # as in PyTorch, only axes of size 1 go
        ("scaled_dot_product_attention", TOKENS | ALONE, TOKENS["value"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_operator_gives_what_its_definition_says(operator, given, want):
    np.testing.assert_allclose(mil.OPERATORS[operator](given), want, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_what_is_concatenated_may_be_known_in_part(monkeypatch):
    pytest.importorskip("coremltools", reason="its types: nox -s tests runs without")
    from coremltools.converters.mil.mil import types

    def var(name, val=None):
        return SimpleNamespace(name=name, val=val, dtype=types.fp32, shape=(1, 3))

    def op(kind, output, **inputs):
        return SimpleNamespace(op_type=kind, outputs=[output], inputs=inputs)

    constants = [op("const", var("cls", np.ones((1, 1), np.float32))), op("const", var("axis", np.int32(1)))]
    ops = [*constants, op("concat", var("y"), values=[var("cls"), var("image")], axis=var("axis"))]
    monkeypatch.setattr(mil, "operations", lambda path: ops)
    assert mil.Program(Path("any.mlpackage")).evaluate(np.zeros((1, 2), np.float32)).tolist() == [[1, 0, 0]]


def test_an_unknown_operator_refuses(monkeypatch):
    op = SimpleNamespace(op_type="fft", outputs=[SimpleNamespace(name="spectrum")], inputs={})
    monkeypatch.setattr(mil, "operations", lambda path: [op])
    with pytest.raises(Unsupported, match="no operator 'fft' \\(spectrum\\)"):
        mil.Program(Path("any.mlpackage"))


# two pixels, 0 and 1, in other sizes: the places that coremltools' documents give
SAMPLED = [
    ("UNALIGN_CORNERS", [0, 0.1, 0.5, 0.9, 1]),
    ("STRICT_ALIGN_CORNERS", [0, 0.25, 0.5, 0.75, 1]),
    ("DEFAULT", [0, 0.4, 0.8, 1, 1]),
    ("OFFSET_CORNERS", [0.1, 0.3, 0.5, 0.7, 0.9]),
    ("UNALIGN_CORNERS", [0, 0, 1 / 3, 2 / 3, 1, 1]),
    ("STRICT_ALIGN_CORNERS", [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ("DEFAULT", [0, 1 / 3, 2 / 3, 1, 1, 1]),
    ("OFFSET_CORNERS", [1 / 12, 3 / 12, 5 / 12, 7 / 12, 9 / 12, 11 / 12]),
    ("ALIGN_CORNERS", [0.5]),
    ("STRICT_ALIGN_CORNERS", [0]),
]


@pytest.mark.parametrize(("mode", "places"), SAMPLED)
def test_an_image_is_resized_at_the_places_that_the_documents_give(mode, places):
    x = np.array([[0, 1]], np.float32).repeat(3, 0)
    sizes = {"target_size_height": 3, "target_size_width": len(places)}
    want = np.tile(np.array(places, np.float32), (3, 1))
    np.testing.assert_allclose(
        mil.OPERATORS["resize_bilinear"]({"x": x, "sampling_mode": mode} | sizes), want, atol=1e-6
    )
    factors = {
        "scale_factor_height": 1,
        "scale_factor_width": len(places) / 2,
        "align_corners": mode.startswith("STRICT"),
    }
    if mode != "ALIGN_CORNERS" and mode != "OFFSET_CORNERS":
        given = {"x": x, "half_pixel_centers": mode == "UNALIGN_CORNERS"} | factors
        np.testing.assert_allclose(mil.OPERATORS["upsample_bilinear"](given), want, atol=1e-6)
    np.testing.assert_allclose(
        mil.OPERATORS["resize_bilinear"]({"x": x.T, "sampling_mode": mode, **dict(zip(sizes, (len(places), 3), strict=True))}),
        want.T, atol=1e-6,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("corners", [True, False])
def test_an_image_is_turned_and_shifted_as_pytorch_does_it(corners):
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    image, maps = normal(2, 3, 5, 6), np.float32([[[0.9, 0.3, 0.2], [-0.4, 1.3, 0]], [[1, 0, 0], [0, 1, 0]]])
    grid = affine_grid(torch.from_numpy(maps), [2, 3, 4, 7], corners)
    want = grid_sample(torch.from_numpy(image), grid, align_corners=corners).numpy()
    modes = {"padding_mode": "constant", "coordinates_mode": "normalized_minus_one_to_one", "align_corners": corners}
    given = {"x": image, "sampling_mode": "bilinear"} | modes
    seen = mil.OPERATORS["affine"](
        given | {"transform_matrix": maps.reshape(2, 6), "output_height": 4, "output_width": 7}
    )
    np.testing.assert_allclose(seen, want, atol=1e-5)
    np.testing.assert_allclose(mil.OPERATORS["resample"](given | {"coordinates": grid.numpy()}), want, atol=1e-5)
    with pytest.raises(Unsupported, match="'resample' with bilinear, border"):
        mil.OPERATORS["resample"](given | {"coordinates": grid.numpy(), "padding_mode": "border"})


def test_a_mode_that_is_unknown_is_refused():
    with pytest.raises(Unsupported, match="resize_bilinear' with NEAR"):
        mil.OPERATORS["resize_bilinear"]({"x": IMAGE, "sampling_mode": "NEAR"})
