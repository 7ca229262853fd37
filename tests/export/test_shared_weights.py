"""A convolution that is used twice: XNNPACK's quantizer would leave it in float, which is no int8."""

from __future__ import annotations

import numpy as np
import pytest

from export import judge, lane
from export.formats import FORMATS
from export.schemes import SCHEMES
from export.source import Source

pytestmark = pytest.mark.slow


class Twice(Source):
    """torch_cnn_small's frame around a small network with a shared convolution, untrained."""

    def __init__(self) -> None:
        super().__init__("torch_cnn_small", "digits")

    def fresh_network(self):
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.again, self.last = nn.Conv2d(1, 4, 5, 4), nn.Conv2d(4, 4, 3, 1, 1), nn.Linear(144, 10)

            def forward(self, x):
                x = torch.relu(self.again(torch.relu(self.again(torch.relu(self.first(x))))))
                return self.last(x.flatten(1))

        torch.manual_seed(0)
        return Net().eval()


def test_it_becomes_int8_in_executorch_too(tmp_path):
    source, path = Twice(), tmp_path / "twice.pte"
    FORMATS["executorch"].convert(source, "int8", path)
    contents = lane.completed(FORMATS["executorch"].inspect(path), source)
    assert set(contents.weights) == {"int8"}
    judge.judge_weights(contents, SCHEMES["int8"])
    images = source.input(source.sets[0].images[:16])
    judge.judge_answers(FORMATS["executorch"].run(path, images), source.logits(images), SCHEMES["int8"])
    assert np.array_equal(FORMATS["executorch"].run(path, images[:1]), FORMATS["executorch"].run(path, images)[:1])
