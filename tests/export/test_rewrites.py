"""Real .tflite graphs before and after each rewrite: the same logits, and the operators that were to change."""

from types import SimpleNamespace

import numpy as np
import pytest

from export.formats import tflite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nn():
    import torch

    return torch.nn


def converted(*layers, image=(1, 28, 28)) -> bytes:
    """Return layers as a float .tflite file; their weights are seeded."""
    import litert_torch
    import torch

    from export.formats import _tflite_file

    torch.manual_seed(0)
    network = torch.nn.Sequential(*layers).eval()
    return _tflite_file.tidied(litert_torch.convert(network, (torch.zeros(1, *image),)).model_content())


def quantized(float32: bytes, scheme: str, image=(1, 28, 28)) -> bytes:
    from export.formats import _tflite_quantizer
    from export.schemes import SCHEMES

    images = np.random.default_rng(1).random((16, *image), np.float32)
    source = SimpleNamespace(options=SCHEMES.defaults, batch=1, calibration=images)
    return _tflite_quantizer.quantize(float32, scheme, source)


def logits(content: bytes, image=(1, 28, 28), batch=1) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    run = interpreter.get_signature_runner()
    images = np.random.default_rng(2).random((12, *image), np.float32)
    return np.concatenate([run(image=images[i : i + batch])["logits"] for i in range(0, 12, batch)])


def assert_alike(before: bytes, after: bytes, image=(1, 28, 28), *, exactly: bool = False) -> None:
    a, b = logits(before, image), logits(after, image)
    assert np.abs(a - b).max() <= (0 if exactly else 1e-5 * np.abs(a).max())


def kernels(content: bytes) -> list[tuple[str, tuple[int, ...]]]:
    """Return the operators with the shapes of their weights, () where they have none."""
    from export.rewrites._graph import Graph

    graph = Graph(content)
    weighted = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return [(graph.name(op), graph.shape(op.inputs[1]) if graph.name(op) in weighted else ()) for op in graph.operators]


def all_applied(content: bytes) -> tuple[bytes, dict[str, list[str]]]:
    done = {}
    for name in tflite.rewrites:
        content, done[name] = tflite.rewritten(content, name)
    return content, {name: operators for name, operators in done.items() if operators}


@pytest.fixture(scope="module")
def float32(nn) -> bytes:
    convolutions = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 3), nn.ReLU()
    return converted(*convolutions, nn.Flatten(), nn.Linear(2304, 10))


@pytest.mark.parametrize("scheme", ["float32", "float16", "dynamic_int8", "int8", "int4", "int16x8"])
def test_every_scheme_keeps_its_logits(float32, scheme):
    before = float32 if scheme == "float32" else quantized(float32, scheme)
    after, done = all_applied(before)
    assert ("transposes" in done) == (scheme != "int4"), "4-bit weights are left as they are"
    assert ("pixels_as_channels" in done) == (scheme != "int16x8"), "those kernels fill nothing up"
    assert_alike(before, after, exactly=not scheme.startswith("float"))
    assert not any(kind == "TRANSPOSE" for kind, _ in kernels(after)) or scheme == "int4"


def test_the_first_convolution_takes_four_pixels_and_gives_the_outputs_of_four(float32):
    after, done = all_applied(quantized(float32, "int8"))
    assert [len(done[name]) for name in ("pixels_as_channels", "transposes")] == [1, 1]
    shapes = [shape for kind, shape in kernels(after) if kind == "CONV_2D"]
    assert shapes[0] == (24, 5, 2, 4)
    assert shapes[1] == (16, 3, 3, 6), "what has enough channels stays"


@pytest.mark.parametrize(("width", "kernel", "block"), [(28, 5, 4), (28, 3, 2), (29, 3, None), (20, 5, 4)])
def test_the_pixels_are_as_many_as_the_output_can_be_divided_by(nn, width, kernel, block):
    size, image = (width - kernel + 1) * (28 - kernel + 1) * 4, (1, 28, width)
    network = nn.Conv2d(1, 4, kernel), nn.ReLU(), nn.Flatten(), nn.Linear(size, 10)
    before = quantized(converted(*network, image=image), "int8", image)
    after, done = all_applied(before)
    first = next(shape for kind, shape in kernels(after) if "CONV" in kind)
    assert ("pixels_as_channels" in done) == (block is not None)
    if block is None:
        assert first == (1, kernel, kernel, 4)
    else:
        assert first == (4 * block, kernel, -(-(kernel + block - 1) // block), block)
    assert_alike(before, after, image, exactly=True)


def test_a_convolution_that_skips_rows_or_has_holes_between_them_is_rewritten_too(nn):
    convolution = nn.Conv2d(1, 4, (3, 5), stride=(2, 1), padding=(2, 0), dilation=(2, 1))
    before = converted(convolution, nn.Flatten(), nn.Linear(14 * 24 * 4, 10))
    after, done = all_applied(before)
    assert "pixels_as_channels" in done
    assert_alike(before, after)


@pytest.mark.parametrize(("zeros", "merged"), [((0, 1, 0, 1), True), ((1, 0, 1, 0), False), ((1, 1, 1, 1), False)])
def test_zeros_are_merged_where_same_means_them(nn, zeros, merged):
    image, rest = (3, 28, 28), (nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 10))
    before = converted(nn.ZeroPad2d(zeros), nn.Conv2d(3, 8, 3, stride=2), *rest, image=image)
    assert "PAD" in [kind for kind, _ in kernels(before)]
    for content in (before, quantized(before, "int8", image)):
        after, done = all_applied(content)
        assert ("paddings" in done) == merged
        assert ("PAD" in [kind for kind, _ in kernels(after)]) != merged
        assert_alike(content, after, image, exactly=content is not before)


def test_a_file_grows_by_a_quarter_at_most_and_holds_no_old_weights(nn):
    from export.rewrites._graph import Graph

    wide = nn.Conv2d(1, 48, 7, padding=3), nn.MaxPool2d(14), nn.Flatten(), nn.Linear(192, 10)
    for before in (converted(*wide), quantized(converted(*wide), "float16")):
        after, _ = all_applied(before)
        assert len(after) <= len(before) * 1.25
        graph = Graph(after)
        read = {int(i) for operator in graph.operators for i in operator.inputs} | {*map(int, graph.graph.outputs)}
        computed = {int(i) for operator in graph.operators for i in operator.outputs} | {*map(int, graph.graph.inputs)}
        assert set(range(len(graph.graph.tensors))) == read | computed
        assert computed <= read | {*map(int, graph.graph.inputs)}


def test_a_file_for_any_batch_stays_one(float32):
    from export.formats import _tflite_file

    before = _tflite_file.freed(float32)
    after, done = all_applied(before)
    assert {"pixels_as_channels", "transposes"} <= done.keys()
    expected = logits(float32)
    for batch in (1, 4, 12):
        assert np.abs(logits(after, batch=batch) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_weights_that_two_layers_share_are_not_reordered_for_one_of_them(nn):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = nn.Conv2d(1, 4, 5), nn.Linear(4 * 24 * 24, 10)

        def forward(self, image):
            x = self.conv(image)
            return self.dense(x.flatten(1)) + self.dense((x * 2).relu().flatten(1))

    before = converted(Twice())
    assert_alike(before, all_applied(before)[0])


def test_a_dense_layer_with_a_factor_keeps_a_bias_that_is_a_vector(nn):
    """LiteRT's converter folds the factor into the bias, with its axes: a ConvNeXt's int8 files had scales that did not fit them."""
    import torch

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 8)
            self.factor = nn.Parameter(torch.arange(1.0, 9.0))

        def forward(self, x):
            x = x.permute(0, 2, 3, 1)
            return x + self.factor * self.last(nn.functional.gelu(self.first(x)))

    from export.formats import _tflite_file

    content = converted(nn.Conv2d(8, 8, 3, padding=1), Scaled(), nn.Flatten(), nn.Linear(128, 5), image=(8, 4, 4))
    graph = _tflite_file.parse(content).subgraphs[0]
    biases = [graph.tensors[operator.inputs[2]] for operator in graph.operators if len(operator.inputs) == 3]
    assert [len(bias.shape) for bias in biases] == [1, 1, 1, 1]
