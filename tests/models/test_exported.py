"""Networks in one file: programs of torch.export as layers again, and what is no such program."""

import io
import re
import zipfile

import pytest

from models.frameworks import FRAMEWORKS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


@pytest.fixture(scope="module")
def net(torch):
    """A network with most kinds of layers: [N,3,16,16] -> [N,5]."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
            self.depthwise = nn.Conv2d(8, 8, 3, padding="same", groups=8, dilation=2)
            self.up, self.norm = nn.ConvTranspose2d(8, 8, 2, stride=2), nn.LayerNorm(4)
            self.last = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 16, 5))

        def forward(self, x):
            x = self.first(x)
            x = nn.functional.silu(x + self.depthwise(x))
            return self.last(self.norm(nn.functional.max_pool2d(self.up(x), 8)))

    torch.manual_seed(0)
    network = Net()
    network(torch.rand(8, 3, 16, 16))  # so that batch norm has seen something
    return network


def saved(network, images, *, decomposed: bool = False, **options) -> bytes:
    import torch

    program, buffer = torch.export.export(network, images, **options), io.BytesIO()
    torch.export.save(program.run_decompositions() if decomposed else program, buffer)
    return buffer.getvalue()


def opened(content: bytes):
    return FRAMEWORKS["torch"].open_whole(content)


def kinds(network) -> list[str]:
    return [type(layer).__name__ for layer in network.modules()]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("free", [False, True])
def test_it_answers_as_the_network_does_in_evaluation_mode(torch, net, training, free):
    images = torch.rand(3, 3, 16, 16)
    expected = net.eval()(images)
    options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if free else {}
    loaded = opened(saved(net.train(training), (images[: 2 if free else 1],), **options))
    assert torch.equal(loaded(images), expected)
    assert loaded.input_shapes == ((3, 16, 16),)
    assert {"Conv2d", "BatchNorm2d", "ConvTranspose2d", "LayerNorm", "Linear"} <= set(kinds(loaded))
    ours, theirs = (sum(parameter.numel() for parameter in network.parameters()) for network in (loaded, net))
    assert ours == theirs, "nothing is held twice"


def test_a_program_that_was_decomposed_becomes_layers_too(torch, net):
    images = torch.rand(2, 3, 16, 16)
    loaded = opened(saved(net.eval(), (images[:1],), decomposed=True))
    assert torch.allclose(loaded(images), net(images), atol=1e-5)
    assert {"Conv2d", "BatchNorm2d", "Linear"} <= set(kinds(loaded))


def test_a_fixed_batch_stays_where_the_graph_needs_it(torch):
    nn, framework = torch.nn, FRAMEWORKS["torch"]
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    network = nn.Sequential(nn.Flatten(2), encoder, nn.Flatten(), nn.Linear(256, 5)).eval()
    images = torch.rand(3, 16, 4, 4)
    loaded = opened(saved(network, (images[:1],)))
    assert not framework.takes_batches(loaded, images.numpy())
    assert torch.allclose(torch.from_numpy(framework.logits(loaded, images.numpy())), network(images), atol=1e-6)
    with pytest.raises(ValueError, match="takes 3 images at once and no other number"):
        opened(saved(network, (images,)))


@pytest.fixture(scope="module")
def whole(torch) -> bytes:
    return saved(torch.nn.Conv2d(1, 2, 3).eval(), (torch.rand(1, 1, 8, 8),))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_or_another_file_is_one_sentence(whole, share):
    for broken in (whole[: int(len(whole) * share)], b"PK\x03\x04 no", b"hello"):
        with pytest.raises(ValueError, match="it is no file of torch.export.save, or is cut off"):
            opened(broken)


def test_a_file_of_another_pytorch_says_which_one_can_read_it(torch, whole):
    """Such a file has other versions in its archive, and a schema that this PyTorch does not know."""
    other, schema = io.BytesIO(), rb'"schema_version":\s*\{[^}]*\}'
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(other, "w") as after:
        for name in before.namelist():
            content = b"99" if name.endswith("archive_version") else before.read(name)
            if name.endswith(".json"):
                content = re.sub(schema, b'"schema_version": {"major": 99, "minor": 0}', content)
            after.writestr(name, content)
    version = torch.__version__.partition("+")[0]
    with pytest.raises(ValueError, match=f"PyTorch {version} cannot read it .*save it again with .* of {version}"):
        opened(other.getvalue())


def test_several_inputs_and_outputs_are_refused(torch):
    rows, image = torch.rand(1, 3), torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match="takes 2 inputs"):
        FRAMEWORKS["torch"].input_shape(opened(saved(torch.nn.Bilinear(3, 3, 5), (rows, rows))))
    with pytest.raises(ValueError, match="has 2 outputs"):
        opened(saved(torch.nn.MaxPool2d(2, return_indices=True), (image,)))


def test_what_does_not_go_from_images_to_logits_or_is_quantized_already_is_refused(torch):
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    class Odd(torch.nn.Module):
        def __init__(self, forward) -> None:
            super().__init__()
            self.forward = forward

    rows = torch.rand(2, 3)
    for forward, arguments, options, reason in (
        (lambda x, factor: x * factor, (rows,), {"factor": rows}, "takes the keyword arguments factor"),
        (lambda given: given["x"], ({"x": rows},), {}, "takes other than tensors"),
        (lambda x: {"logits": x * 2}, (rows,), {}, "returns a dict"),
        (lambda x: x / 255, (rows.to(torch.uint8),), {}, "takes uint8; export it for float32"),
        (lambda x: torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: -x, (x,)), (rows,), {}, "computes otherwise"),
    ):
        buffer = io.BytesIO()
        torch.export.save(torch.export.export(Odd(forward), arguments, options), buffer)
        with pytest.raises(ValueError, match=reason):
            opened(buffer.getvalue())
    quantizer = xnnpack.XNNPACKQuantizer().set_global(xnnpack.get_symmetric_quantization_config())
    prepared = prepare_pt2e(torch.export.export(torch.nn.Linear(3, 2), (rows,)).module(), quantizer)
    prepared(rows)
    with pytest.raises(ValueError, match="quantized already"):
        opened(saved(convert_pt2e(prepared), (rows,)))


def test_layers_under_no_grad_and_in_mixed_precision_are_layers(torch):
    """Their graphs of their own hid them: they stayed in float, and what was cast to float32 kept half precision away."""

    class Frozen(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.mixed, self.last = (torch.nn.Conv2d(3, 3, 3, padding="same") for _ in range(3))

        def forward(self, x):
            with torch.no_grad():
                x = self.frozen(x)
            with torch.autocast("cpu", torch.bfloat16):
                x = self.mixed(x)
            return self.last(x.float())

    network, images = Frozen().eval(), torch.rand(2, 3, 8, 8)
    loaded = opened(saved(network, (images,)))
    assert [node.op for node in loaded.graph.nodes] == ["placeholder", *["call_module"] * 3, "output"]
    assert torch.allclose(loaded(images), network(images), atol=2e-2)
    assert loaded.half()(images.half()).dtype == torch.float16
    assert [layer.padding for layer in loaded.children()] == [
        (1, 1)
    ] * 3  # TorchScript's quantized layers take no "same"


def test_what_is_changed_in_place_is_read_changed(torch):
    """The first rewriting read the value from before the change: a ResNet's shortcut of nn.ReLU(inplace=True)."""
    nn = torch.nn

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.last, self.bias = nn.Linear(4, 5), nn.Parameter(torch.ones(4))

        def forward(self, x):
            x = self.first(x)
            y = nn.functional.relu(x, inplace=True)
            z = self.second(y)
            z += x  # which relu changed
            z = nn.functional.hardswish(z, inplace=True)
            return self.last(nn.functional.linear(z.mean((2, 3)), torch.eye(4), self.bias))

    network = InPlace().eval()
    images = torch.randn(3, 3, 8, 8)
    for batch, options in ((1, {}), (2, {"dynamic_shapes": ({0: torch.export.Dim("n")},)})):
        loaded = opened(saved(network, (images[:batch],), **options))
        assert torch.allclose(loaded(images), network(images), atol=1e-6)


def test_what_is_no_program_or_no_state_dictionary_says_what_to_save(torch):
    def written(value) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    network, framework = torch.nn.Linear(2, 2), FRAMEWORKS["torch"]
    with pytest.raises(ValueError, match="written by torch.save; write it with torch.export.save"):
        opened(written(network))
    with pytest.raises(ValueError, match="which are its 'state_dict'"):
        framework.open_weights(network, written({"epoch": 3, "state_dict": network.state_dict()}), ".pth")
    with pytest.raises(ValueError, match="nn.DataParallel"):
        framework.open_weights(network, written(torch.nn.DataParallel(network).state_dict()), ".pth")


def test_a_batch_norm_is_that_of_as_many_axes_as_it_takes(torch):
    nn = torch.nn
    torch.manual_seed(0)
    rows = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 5), nn.BatchNorm1d(4), nn.Flatten())
    network = nn.Sequential(nn.BatchNorm2d(3), rows, nn.Linear(4 * 60, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    network(torch.rand(8, 3, 8, 8))  # so that batch norms have seen something
    images = torch.rand(3, 3, 8, 8)
    loaded = opened(saved(network.eval(), (images[:1],)))
    assert torch.allclose(loaded(images[:1]), network(images[:1]), atol=1e-6)
    norms = [kind for kind in kinds(loaded) if "BatchNorm" in kind]
    assert norms == ["BatchNorm2d", "BatchNorm1d", "BatchNorm1d"]


def test_weights_that_are_computed_from_parameters_become_those_of_a_layer(torch):
    """Weight standardization and weight norm: quantizers know a convolution by its weights, not by how they came about."""
    nn = torch.nn

    class Standardized(nn.Conv2d):
        def forward(self, x):
            return self._conv_forward(x, self.weight / self.weight.std((1, 2, 3), keepdim=True), self.bias)

    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 3, 3))
    network = nn.Sequential(Standardized(3, 4, 3), nn.Flatten(2), normed, nn.Flatten(), nn.Linear(102, 5)).eval()
    images = torch.rand(2, 3, 8, 8)
    loaded = opened(saved(network, (images[:1],)))
    assert kinds(loaded)[1:] == ["Conv2d", "Conv1d", "Linear"]
    assert torch.allclose(loaded(images), network(images), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_network_in_other_floats_becomes_one_in_float32(torch, dtype):
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 4, 3)
            self.register_buffer("scale", torch.rand(4, dtype=torch.float64))

        def forward(self, x):
            x = self.layer(x.to(self.layer.weight.dtype)).mean((2, 3))
            return (x * self.scale.to(x.dtype) + torch.ones(4, dtype=x.dtype)).to(torch.float16)

    network, narrow = Scaled().eval(), getattr(torch, dtype)
    images = torch.rand(2, 3, 8, 8)
    loaded = opened(saved(network.to(narrow), (images.to(narrow),)))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    assert loaded(images).dtype == torch.float32
    assert torch.allclose(loaded(images), network.float()(images).float(), atol=2e-3)


def test_operators_that_some_converter_does_not_know_are_written_in_others(torch):
    nn = torch.nn

    class Rare(nn.Module):
        def forward(self, x):
            x = nn.functional.rrelu(nn.functional.channel_shuffle(x - 0.5, 2).mT)
            pooled = nn.functional.adaptive_max_pool2d(x, 1).flatten(1)
            places = torch.full((1,), 2) + torch.full((1,), x.shape[0] - x.shape[0])  # whole numbers, that stay whole
            return (pooled + nn.functional.adaptive_max_pool2d(x, (1, 2))[..., 0, 0] * x.shape[0])[:, places]

    images, batch = torch.rand(3, 4, 6, 5), torch.export.Dim("batch")
    loaded = opened(saved(Rare().eval(), (images[:2],), dynamic_shapes=({0: batch},)))
    assert torch.equal(loaded(images), Rare().eval()(images))
    unknown = ("channel_shuffle", "mT", "sym_size", "rrelu")
    assert not [node for node in loaded.graph.nodes if any(name in str(node.target) for name in unknown)]
    assert "amax" in loaded.code


def test_a_recurrent_layer_saved_for_one_image_takes_others_and_refuses_what_its_first_state_does_not_fit(torch):
    """PyTorch's operator writes beyond a first state for fewer images than it is given, and ends the process."""
    nn = torch.nn

    class Rows(nn.Module):
        def __init__(self, learned) -> None:
            super().__init__()
            self.steps, self.last = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 5)
            self.first = nn.Parameter(torch.ones(1, 1, 6)) if learned else None

        def forward(self, x):
            first = None if self.first is None else (self.first, self.first)
            return self.last(self.steps(x.flatten(1, 2), first)[0][:, -1])

    images, framework = torch.rand(3, 1, 8, 8), FRAMEWORKS["torch"]
    free, learned = Rows(False).eval(), Rows(True).eval()
    loaded = opened(saved(free, (images[:1],)))
    assert torch.allclose(loaded(images), free(images), atol=1e-6)
    steps, last = 8 * 4 * 6 * (8 + 6), 6 * 5
    assert framework.profile(loaded, (1, 8, 8)).macs == steps + last
    assert not framework.takes_batches(opened(saved(learned, (images[:1],))), images.numpy())
