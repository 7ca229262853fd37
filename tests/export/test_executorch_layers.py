"""Layers that ExecuTorch's quantizer would leave in float, or fine-tuning would change: shared convolutions, batch norms."""

from __future__ import annotations

import pytest

from export import judge, making
from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source
from models.own.settings import Options

pytestmark = pytest.mark.slow


class Untrained(Source):
    """torch_cnn_small's frame around a small network with a convolution that is used twice, and a batch norm."""

    def __init__(self) -> None:
        super().__init__("torch_cnn_small", "digits")

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
def test_all_of_it_becomes_int8_and_answers_as_before(scheme, tmp_path):
    """The norm's statistics are not those of these images: taken anew from them, the answers would be others."""
    source, path = Untrained().with_options(Options(steps=20)), tmp_path / "net.pte"
    FORMATS["executorch"].convert(source, scheme, path)
    contents = making.completed(FORMATS["executorch"].inspect(path), source)
    assert set(contents.weights) == {"int8"}
    judge.judge_weights(contents, SCHEMES[scheme])
    images = source.input(source.sets[0].images[:16])
    judge.judge_logits(FORMATS["executorch"].run(path, images), source.logits(images), SCHEMES[scheme])
