"""Programs of torch.export as layers again: the same answers, in evaluation mode, for any batch where that can be."""

from __future__ import annotations

import io
import re
import zipfile

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net():
    """A network with most kinds of layers: [N,3,16,16] -> [N,5]."""
    import torch
    from torch import nn

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


def saved(network, images, **options) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.export.save(torch.export.export(network, images, **options), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("free", [False, True])
def test_it_answers_as_the_network_does_in_evaluation_mode(net, training, free):
    import torch

    from models.frameworks import _exported

    images = torch.rand(3, 3, 16, 16)
    expected = net.eval()(images)
    options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if free else {}
    content = saved(net.train(training), (images[: 2 if free else 1],), **options)
    loaded = _exported.load(content)
    assert torch.equal(loaded(images), expected)
    assert loaded.input_shapes == ((3, 16, 16),)
    kinds = {type(layer).__name__ for layer in loaded.modules()}
    assert {"Conv2d", "BatchNorm2d", "ConvTranspose2d", "LayerNorm", "Linear"} <= kinds


def test_a_program_that_was_decomposed_becomes_layers_too(net):
    import torch

    from models.frameworks import _exported

    images = torch.rand(2, 3, 16, 16)
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(net.eval(), (images[:1],)).run_decompositions(), buffer)
    loaded = _exported.load(buffer.getvalue())
    assert torch.allclose(loaded(images), net(images), atol=1e-5)
    assert {"Conv2d", "BatchNorm2d", "Linear"} <= {type(layer).__name__ for layer in loaded.modules()}


def test_a_fixed_batch_stays_where_the_graph_needs_it():
    import torch
    from torch import nn

    from models.frameworks import _exported
    from models.frameworks import torch as framework

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.last = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 5)

        def forward(self, x):
            tokens = x.flatten(2).transpose(1, 2)
            return self.last(self.inner(tokens, tokens, tokens, need_weights=False)[0].mean(1))

    network = Attention().eval()
    images = torch.rand(3, 16, 4, 4)
    loaded = _exported.load(saved(network, (images[:1],)))
    assert not framework.takes_batches(loaded, images.numpy())
    assert torch.allclose(torch.from_numpy(framework.logits(loaded, images.numpy())), network(images), atol=1e-6)
    with pytest.raises(ValueError, match="takes 3 images at once and no other number"):
        _exported.load(saved(network, (images,)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"hello"], ids=repr)
def test_another_file_is_one_sentence(content):
    from models.frameworks import _exported

    with pytest.raises(ValueError, match="it is no file of torch.export.save, or is cut off"):
        _exported.load(content)


@pytest.fixture(scope="module")
def whole() -> bytes:
    import torch
    from torch import nn

    return saved(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()).eval(), (torch.rand(1, 1, 8, 8),))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_sentence(whole, share):
    from models.frameworks import _exported

    with pytest.raises(ValueError, match="it is no file of torch.export.save, or is cut off"):
        _exported.load(whole[: int(len(whole) * share)])


def test_a_file_of_another_pytorch_says_which_one_can_read_it(whole):
    """Such a file has other versions in its archive, and a schema that this PyTorch does not know."""
    import torch

    from models.frameworks import _exported

    def of_another(name: str, content: bytes) -> bytes:
        if name.endswith("archive_version"):
            return b"99"
        if name.endswith(".json") and b"schema_version" in content:
            return re.sub(rb'"schema_version":\s*\{[^}]*\}', b'"schema_version": {"major": 99, "minor": 0}', content)
        return content

    other = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(other, "w") as after:
        for name in before.namelist():
            after.writestr(name, of_another(name, before.read(name)))
    version = torch.__version__.partition("+")[0]
    with pytest.raises(ValueError, match=f"PyTorch {version} cannot read it .*save it again with .* of {version}"):
        _exported.load(other.getvalue())


def test_several_inputs_and_outputs_are_refused():
    import torch
    from torch import nn

    from models.frameworks import _exported
    from models.frameworks import torch as framework

    class Two(nn.Module):
        def forward(self, a, b):
            return (a + b).mean((2, 3))

    class Outputs(nn.Module):
        def forward(self, a):
            return a.mean((2, 3)), a

    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match="takes 2 inputs"):
        framework.input_shape(_exported.load(saved(Two(), (image, image))))
    with pytest.raises(ValueError, match="has 2 outputs"):
        _exported.load(saved(Outputs(), (image,)))


def test_what_is_changed_in_place_is_read_changed():
    """The first rewriting read the value from before the change: a ResNet's shortcut of nn.ReLU(inplace=True)."""
    import torch
    from torch import nn

    from models.frameworks import _exported

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = (
                nn.Conv2d(3, 4, 3, padding=1),
                nn.Conv2d(4, 4, 3, padding=1),
                nn.Linear(4, 5),
            )
            self.bias = nn.Parameter(torch.ones(4))

        def forward(self, x):
            x = self.first(x)
            y = nn.functional.relu(x, inplace=True)
            z = self.second(y)
            z += x  # which relu changed
            z = nn.functional.hardswish(z, inplace=True)
            return self.last(nn.functional.linear(z.mean((2, 3)), torch.eye(4), self.bias))

    network = InPlace().eval()
    images = torch.randn(3, 3, 8, 8)
    for content in (
        saved(network, (images[:1],)),
        saved(network, (images[:2],), dynamic_shapes=({0: torch.export.Dim("n")},)),
    ):
        assert torch.allclose(_exported.load(content)(images), network(images), atol=1e-6)


def test_nothing_is_held_twice(net):
    import torch

    from models.frameworks import _exported

    loaded = _exported.load(saved(net.eval(), (torch.rand(1, 3, 16, 16),)))
    count = lambda module: sum(parameter.numel() for parameter in module.parameters())  # noqa: E731
    assert count(loaded) == count(net)


def test_what_is_no_program_or_no_state_dictionary_says_what_to_save():
    import torch
    from torch import nn

    from models.frameworks import _exported
    from models.frameworks import torch as framework

    def written(value) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    network = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="written by torch.save; write it with torch.export.save"):
        _exported.load(written(network))
    with pytest.raises(ValueError, match="which are its 'state_dict'"):
        framework.open_weights(network, written({"epoch": 3, "state_dict": network.state_dict()}), ".pth")
    with pytest.raises(ValueError, match="nn.DataParallel"):
        framework.open_weights(network, written(nn.DataParallel(network).state_dict()), ".pth")


def test_a_batch_norm_is_that_of_as_many_axes_as_it_takes():
    import torch
    from torch import nn

    from models.frameworks import _exported

    torch.manual_seed(0)
    rows = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 5), nn.BatchNorm1d(4), nn.Flatten())
    network = nn.Sequential(nn.BatchNorm2d(3), rows, nn.Linear(4 * 60, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    network(torch.rand(8, 3, 8, 8))  # so that batch norms have seen something
    images = torch.rand(3, 3, 8, 8)
    loaded = _exported.load(saved(network.eval(), (images[:1],)))
    assert torch.allclose(loaded(images[:1]), network(images[:1]), atol=1e-6)
    norms = [type(layer).__name__ for layer in loaded.modules() if "BatchNorm" in type(layer).__name__]
    assert norms == ["BatchNorm2d", "BatchNorm1d", "BatchNorm1d"]
