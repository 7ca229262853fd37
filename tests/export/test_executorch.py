"""ExecuTorch: real conversions of the small model, and the ways in which a conversion fails without a word."""

from types import SimpleNamespace

import numpy as np
import pytest

from export import artifact as artifacts
from export import judge, making
from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from models.common.errors import EdgewiseError, Unsupported
from models.own.settings import Options
from tests.export.conftest import SMALL

pytestmark = pytest.mark.slow


def test_xnnpack_takes_all_operators_but_the_casts_of_float16_and_the_portable_file_says_that_it_takes_none(small):
    notes = {a.id.removeprefix(f"{SMALL}-"): a.notes[0] for a in artifacts.load(small) if "executorch" in a.format}
    assert notes.pop("executorch_portable-float32").startswith("0 of 14 operators delegated to XNNPACK; left: ")
    left = {name: note.partition("left: ")[2] for name, note in notes.items()}
    assert len(left) == 6
    assert left == dict.fromkeys(left, "") | {"executorch-float16": "dim_order_ops::_to_dim_order_copy x 4"}


def test_a_network_of_which_xnnpack_takes_nothing_is_refused(tmp_path):
    import torch

    class Sums(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.cumsum(3)

    odd = Source("torch_cnn_small", "digits")
    odd.network = Sums().eval()
    with pytest.raises(EdgewiseError, match=r"took no operator .* left: aten::cumsum x 1"):
        FORMATS["executorch"].convert(odd, "float32", tmp_path / "odd.pte")


def test_fine_tuning_stops_at_a_gradient_that_is_no_number():
    import torch

    from export.formats._torch import fine_tune

    class Root(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x).abs().sqrt()

    batches = [(np.zeros((2, 3), np.float32), np.zeros(2, np.int64))]
    source = SimpleNamespace(options=Options(steps=1), training_batches=lambda steps: batches)
    network = Root(3, 4)
    torch.nn.init.zeros_(network.bias)
    with pytest.raises(Unsupported, match="a gradient that is no number"):
        fine_tune(network, source)


class SharedLayers(Source):
    """A network whose layers the quantizer would leave in float and fine-tuning change: a convolution used twice, a norm."""

    def fresh_network(self):
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.again = nn.Conv2d(1, 4, 5, 4), nn.Conv2d(4, 4, 3, 1, 1)
                self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(144, 10)

            def forward(self, x):
                x = torch.relu(self.again(torch.relu(self.norm(self.again(torch.relu(self.first(x)))))))
                return self.last(x.flatten(1))

        torch.manual_seed(0)
        return Net().eval()


@pytest.mark.parametrize("scheme", ["int8", "qat_int8"])
def test_all_layers_become_int8_and_answer_as_before(scheme, images, tmp_path):
    """The norm's statistics are not those of these images: taken anew from them, the answers would be others."""
    source = SharedLayers("torch_cnn_small", "digits").with_options(Options(steps=20))
    path = tmp_path / "net.pte"
    FORMATS["executorch"].convert(source, scheme, path)
    contents = making.completed(FORMATS["executorch"].inspect(path), source)
    assert set(contents.weights) == {"int8"}
    judge.judge_weights(contents, SCHEMES[scheme])
    judge.judge_logits(FORMATS["executorch"].run(path, images[:16]), source.logits(images[:16]), SCHEMES[scheme])
